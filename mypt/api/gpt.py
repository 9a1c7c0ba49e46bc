"""`GPT`, the model of the Python API: architecture, weights and tokenizer in one object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.api.argument_rules import DEVICE, DTYPE, PLUGINS
from mypt.api.measuring_model import MeasuringModel
from mypt.engine.callbacks import Callbacks
from mypt.engine.checkpoints.build import build_model
from mypt.engine.checkpoints.paths import find_checkpoint, with_base
from mypt.engine.checkpoints.recovery.candidates import naming_copies
from mypt.engine.inference.chat_messages import MESSAGES
from mypt.engine.inference.continuation import Ending, GenerationSettings, Wanted
from mypt.engine.inference.text import continuations, stream
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.errors import ConfigError, Problem, SaveError
from mypt.format.open import open_checkpoint
from mypt.format.opened import log_warnings
from mypt.format.rules.arguments import (
    FLAG,
    MAPPING,
    PATH,
    TEXT,
    checked,
    instance_of,
    mapping_of,
    number_where,
    optional,
    sequence_of,
    where,
    whole_number,
)
from mypt.model.decoding.sampling_options import Sampling, merge_options
from mypt.model.quantized import is_quantized, quantize
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import torch

    from mypt.chat.message import Message
    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.callbacks import EvaluationEvent, StepEvent
    from mypt.engine.inference.continuation import Continuation
    from mypt.engine.inference.conversation import Chat
    from mypt.engine.inference.prompt_ids import Prompt
    from mypt.engine.inference.text import TextStream
    from mypt.format.documents.training import TrainingState
    from mypt.plugins.contracts.tokenizer import Tokenizer


_CALLBACK = optional(where(callable, "a function of one argument, the event"))
_OPTIMIZER = where(
    lambda given: isinstance(given, str) or hasattr(given, "param_groups"),
    'an optimizer, or the name of one, such as "adamw"',
)
_SAMPLING = optional(instance_of("a Sampling", Sampling))
_LOADER = where(
    lambda given: hasattr(given, "train_batch"),
    "a GPTDataLoader, as GPTDataLoader(model.config, model.need_tokenizer(), text=...) returns it",
)


class GPT(MeasuringModel):
    """A GPT with its tokenizer, which generates, scores, trains and saves.

    `model(idx)` takes idx (B, T) int64 with T <= block_size and returns logits (B, T, vocab_size);
    `model.loss(idx, targets)` returns the training loss, in nats per token, without full logits.

    Attributes:
        config: The architecture, a `GPTConfig`.
        tokenizer: Text to ids and back; None if the model has none, or if the plugin of its
            tokenizer is not installed.
        tokenizer_state: The tokenizer document of its checkpoint, kept when the model is saved.
        needs: The plugins that its checkpoint requires, by package.
        plugins: Where its parts were looked up.
    """

    @checked(
        sampling=_SAMPLING, use_cache=FLAG, read_special_tokens=FLAG, stop_at_end=optional(FLAG)
    )
    def generate(
        self,
        prompt: Prompt = "",
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        stop: str | Iterable[str] = (),
        stop_tokens: int | str | Iterable[int | str] = (),
        use_cache: bool = True,
        read_special_tokens: bool = False,
        stop_at_end: bool | None = None,
        **options: Any,
    ) -> str:
        """Continue a text, without dropout whatever mode the model is in.

        A model without a tokenizer takes and gives ids, as texts such as "3 0 1". Where there is
        one that is not here, since its plugin or its feature of the format is not, a prompt has to
        be ids, and what is added comes as such a text.

        Args:
            prompt: Text to continue, or the ids of its tokens, which are continued as they are.
                Only the last `block_size` tokens are used.
            max_new_tokens: Maximum number of tokens to add.
            sampling: How to choose tokens.
            stop: A string to stop before, or several.
            stop_tokens: A token to stop before, by id or by text, or several.
            use_cache: Whether to cache keys and values; without, the text is the same, but slower.
            read_special_tokens: Whether what spells a special token in the prompt, such as
                `<|end|>`, becomes that token; else it is ordinary text.
            stop_at_end: Whether to stop before a token that ends a turn or a text by its role; by
                default where the model has a chat template, or a token that ends a turn.
            **options: Fields of `sampling`, which they override: `temperature`, `top_k`, `top_p`,
                `min_p`, `repetition_penalty`, `no_repeat_ngram_size`, `processors`, `seed`; and
                what stands for a logit processor: `logit_bias`, `banned_words`, `json_schema`,
                `regex`, `grammar`.

        Returns:
            The prompt and its continuation.

        Raises:
            DataError: The prompt has a character that the vocabulary lacks.
            ConfigError: An argument is unknown, of another type or out of range.
            PluginError: The prompt is a text, and the tokenizer is of a plugin that is not here.
            FormatError: The same of one that requires a later version of the format.
        """
        (continued,) = self.generate_many(
            [prompt],
            max_new_tokens,
            sampling=sampling,
            stop=stop,
            stop_tokens=stop_tokens,
            use_cache=use_cache,
            read_special_tokens=read_special_tokens,
            stop_at_end=stop_at_end,
            **options,
        )
        return continued.prompt + continued.text

    @checked(
        sampling=_SAMPLING, use_cache=FLAG, read_special_tokens=FLAG, stop_at_end=optional(FLAG)
    )
    def stream(
        self,
        prompt: Prompt = "",
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        stop: str | Iterable[str] = (),
        stop_tokens: int | str | Iterable[int | str] = (),
        use_cache: bool = True,
        read_special_tokens: bool = False,
        stop_at_end: bool | None = None,
        **options: Any,
    ) -> TextStream:
        """Continue a text piece by piece, as `generate` does and with the same options.

        A piece never ends within a character, and never contains the beginning of a stop string.
        The attribute `ids` of what is returned holds the tokens so far, those of the prompt and the
        new ones: as a prompt, they are continued exactly.
        """
        tokenizer = self.tokenizer_or_ids()
        settings = GenerationSettings(
            tokenizer=tokenizer,
            ending=Ending.of(tokenizer, max_new_tokens, stop, stop_tokens, stop_at_end=stop_at_end),
            sampling=merge_options(sampling, options),
            use_cache=use_cache,
            read_special_tokens=read_special_tokens,
        )
        return stream(self, prompt, settings)

    @checked(
        sampling=_SAMPLING,
        log_probs=FLAG,
        logits=FLAG,
        use_cache=FLAG,
        read_special_tokens=FLAG,
        stop_at_end=optional(FLAG),
    )
    def generate_many(
        self,
        prompts: Iterable[Prompt],
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        stop: str | Iterable[str] = (),
        stop_tokens: int | str | Iterable[int | str] = (),
        samples: int = 1,
        batch_size: int = 32,
        log_probs: bool = False,
        logits: bool = False,
        use_cache: bool = True,
        read_special_tokens: bool = False,
        stop_at_end: bool | None = None,
        **options: Any,
    ) -> Iterator[Continuation]:
        """Continue several texts, `batch_size` at once.

        Each result is the same as that of its prompt alone. A text that ends early does not end
        the others.

        Args:
            prompts: Texts to continue, of any length, or the ids of their tokens.
            max_new_tokens: Maximum number of tokens to add to each.
            sampling: How to choose tokens.
            stop: A string to stop before, or several.
            stop_tokens: A token to stop before, by id or by text, or several.
            samples: Continuations per prompt. The first is that of `samples=1`.
            batch_size: Texts to continue at once, 1 or more.
            log_probs: Whether to return the log probability of each token.
            logits: Whether to return the logits of each token.
            use_cache: Whether to cache keys and values.
            read_special_tokens: Whether what spells a special token in a prompt becomes one.
            stop_at_end: Whether to stop before a token that ends a turn or a text by its role; by
                default where the model has a chat template, or a token that ends a turn.
            **options: Fields of `sampling`, which they override.

        Yields:
            One `Continuation` for each prompt and sample, in order.

        Raises:
            DataError: A prompt has a character that the vocabulary lacks.
            ConfigError: An argument is unknown, of another type or out of range, or `prompts` is a
                single string.
        """
        sampling, tokenizer = merge_options(sampling, options), self.tokenizer_or_ids()
        settings = GenerationSettings(
            tokenizer=tokenizer,
            sampling=sampling,
            ending=Ending.of(tokenizer, max_new_tokens, stop, stop_tokens, stop_at_end=stop_at_end),
            wanted=Wanted(log_probs=log_probs, logits=logits),
            use_cache=use_cache,
            read_special_tokens=read_special_tokens,
        )
        return continuations(self, prompts, settings, samples=samples, batch_size=batch_size)

    @checked(
        messages=MESSAGES, system=optional(TEXT), chat_template=optional(TEXT), sampling=_SAMPLING
    )
    def chat(
        self,
        messages: Iterable[Message | Mapping[str, Any]] = (),
        *,
        system: str | None = None,
        max_new_tokens: int = 256,
        sampling: Sampling | None = None,
        stop: str | Iterable[str] = (),
        stop_tokens: int | str | Iterable[int | str] = (),
        chat_template: str | None = None,
        **options: Any,
    ) -> Chat:
        """Begin a conversation, which the model's chat template makes a prompt of.

        Args:
            messages: What was said before, as `Message` or as mappings with `role` and `content`.
            system: A system prompt, before them.
            max_new_tokens: Maximum number of tokens of an answer. As many, and at most half of the
                context, are kept free for it.
            sampling: How to choose tokens.
            stop: A string to stop before, or several.
            stop_tokens: A token to stop before, or several, besides those that end a turn.
            chat_template: Another template, in Jinja, or the name of one that ships with mypt.
            **options: Fields of `sampling`, which they override.

        Raises:
            ConfigError: There is no chat template, or none that this tokenizer has the tokens for,
                or it has no place for a system prompt; or an argument is unknown, of another type
                or out of range.
            PluginError: The tokenizer is of a plugin that is not installed.
            FormatError: The tokenizer requires a later version of the format.
        """
        from mypt.chat.template import ChatTemplate
        from mypt.engine.inference.conversation import Chat, ChatSettings

        tokenizer = self.need_tokenizer()
        ending = Ending.of(tokenizer, max_new_tokens, stop, stop_tokens)
        settings = ChatSettings(
            sampling=merge_options(sampling, options),
            max_new_tokens=ending.max_new_tokens,
            stop=ending.stop,
            stop_tokens=tuple(ending.stop_tokens),
        )
        chat = Chat(self, ChatTemplate.of(tokenizer, chat_template), settings)
        chat.replace(messages)
        if system is not None:
            chat.set_system(system)
        return chat

    @checked()
    def quantize(self) -> GPT:
        """Quantize all linear layers to 8 bits in place, for generation and scoring on a CPU.

        They take a quarter of the memory and are faster; `score` measures the cost in loss. The
        model can neither be trained nor saved afterwards.

        Returns:
            This model.

        Raises:
            ConfigError: The model is on another device.
        """
        device = next(self.parameters()).device
        if device.type != "cpu":
            what = f"is {device.type}, but 8-bit weights are for the CPU"
            raise ConfigError(Problem("", "device", what, "leave out int8, or use the CPU"))
        quantize(self)
        self.history = evolve(self.history, optimizer=None)  # it cannot be trained any more
        return self

    @checked(
        rank=whole_number(1),
        alpha=optional(number_where(lambda alpha: alpha > 0, "a number above 0")),
        targets=optional(sequence_of(TEXT, "a list of names, such as ['q', 'v']")),
        dropout=number_where(lambda p: 0 <= p < 1, "a number from 0 to below 1"),
        seed=whole_number(0, below=2**64),
    )
    def add_adapter(
        self,
        rank: int = 8,
        *,
        alpha: float | None = None,
        targets: Iterable[str] | None = None,
        dropout: float = 0.0,
        seed: int = 1337,
    ) -> GPT:
        """Put a LoRA adapter beside the model, which itself stays as it is from now on.

        `fit` trains the adapter alone, and saving writes it alone, with the path and the digest of
        the base: the checkpoint that this model was loaded from.

        Args:
            rank: Rank of the matrices that are added.
            alpha: Factor on what they add, divided by `rank`; by default twice the rank.
            targets: The adapted matrices of each layer, such as `["q", "v"]`; by default all linear
                layers.
            dropout: Probability that an input of the adapter becomes zero in training.
            seed: Decides its first values.

        Returns:
            This model.

        Raises:
            ConfigError: The model was not loaded from a checkpoint, has been changed since, or has
                an adapter already; or a target names no matrix.
        """
        from mypt.engine.checkpoints.adapters.own import add_adapter_to

        settings = {
            "lora_rank": rank,
            "lora_alpha": alpha,
            "lora_targets": [] if targets is None else list(targets),
            "lora_dropout": dropout,
            "seed": seed,
        }
        add_adapter_to(self, settings)
        return self

    @checked()
    def merge_adapter(self) -> GPT:
        """Add the adapter of the model to its matrices in place: it is a whole model then.

        Returns:
            This model; one without an adapter is unchanged.

        Raises:
            ConfigError: The model has 8-bit weights.
        """
        if self.config.adapter is None:
            return self
        if is_quantized(self):
            what, fix = "has 8-bit weights, to which nothing can be added", "merge it before"
            raise ConfigError(Problem("", "adapter", what, fix, kind="adapter"))
        from mypt.engine.checkpoints.adapters.own import merge_adapter_of

        merge_adapter_of(self)
        return self

    @checked(
        data_loader=_LOADER,
        optimizer=optional(_OPTIMIZER),
        checkpoint_dir=optional(PATH),
        start_step=optional(whole_number(0)),
        after_step=_CALLBACK,
        after_evaluation=_CALLBACK,
        eval_data_loaders=optional(
            mapping_of(_LOADER, 'GPTDataLoaders by name, such as {"questions": loader}')
        ),
        overwrite=FLAG,
        no_lock=FLAG,
        quiet=FLAG,
    )
    def fit(
        self,
        data_loader: GPTDataLoader,
        optimizer: torch.optim.Optimizer | str | None = None,
        max_iters: int | None = None,
        eval_interval: int | None = None,
        eval_iters: int | None = None,
        checkpoint_dir: str | Path | None = None,
        start_step: int | None = None,
        learning_rate: float | None = None,
        *,
        eval_data_loaders: Mapping[str, GPTDataLoader] | None = None,
        after_step: Callable[[StepEvent[GPT]], object] | None = None,
        after_evaluation: Callable[[EvaluationEvent[GPT]], object] | None = None,
        overwrite: bool = False,
        no_lock: bool = False,
        quiet: bool = False,
        **training: Any,
    ) -> TrainingState:
        """Train on the data of a loader; the model is in evaluation mode afterwards.

        Args:
            data_loader: Source of the batches.
            optimizer: The name of one, or an AdamW, or what the factory of a plugin would build;
                by default that of the training before, or an AdamW with decay and no-decay groups.
                It goes on from the state of the training before: that in memory, or in the model's
                own bundle. The hyperparameters of one that is given are those of the run and are
                saved. The schedule scales the learning rate of each of its groups (`initial_lr`,
                which torch's schedulers set, or else `lr`); afterwards the rates are what they
                were. Its state goes on where it is.
            max_iters: Number of updates to train to, counted from the model's first.
            eval_interval: Number of updates between evaluations; each also saves.
            eval_iters: Batches averaged in each evaluation, per split.
            checkpoint_dir: Folder of the bundle; without it, nothing is saved.
            start_step: Updates that the model has been trained for; by default those that it was
                trained for by `fit`, or by the checkpoint that it was loaded from. 0 begins a run
                of its own with the weights of a trained model.
            learning_rate: Peak learning rate; by default that of `optimizer`. Of groups with
                different rates it is the largest, and the others keep their ratio to it.
            eval_data_loaders: Additional data sets to evaluate on, by name.
            after_step: Called with a `StepEvent` after each update. Its `stop` ends the run there,
                as Ctrl-C does; what it raises ends it too, once the bundle is saved.
            after_evaluation: The same with an `EvaluationEvent`, after each evaluation and before
                the next update.
            overwrite: Whether to replace what another run saved in `checkpoint_dir`, or as the
                copies beside it.
            no_lock: Whether to save also where the file system has no locks, so that nothing keeps
                two runs from writing there at once.
            quiet: Print nothing.
            **training: Other fields of `TrainingConfig`.

        Returns:
            The state at the end of the training.

        Raises:
            ConfigError: An option is unknown or out of range, or is not what `optimizer` has; or
                that is of no known class, or has groups that the bundle to save cannot hold; or the
                model has been trained for more updates than `start_step` or `max_iters` says.
            PluginError: No plugin offers the optimizer of that name, or it keeps what it does not
                declare.
            SaveError: A checkpoint could not be written, or would replace another run's without
                `overwrite`; the previous one is intact.
            UsageError: The same of a copy beside it.
            DivergedError: A loss or a weight became NaN or infinite, and `terminate_on_nan` is not
                False; the last checkpoint is intact.
            OutOfMemoryError: There is too little memory for a step; the last checkpoint is intact.
        """
        from mypt.engine.training.fit import fit

        given = {
            "max_iters": max_iters,
            "eval_interval": eval_interval,
            "eval_iters": eval_iters,
            "learning_rate": learning_rate,
        }
        return fit(
            self,
            data_loader,
            optimizer,
            {**training, **{k: v for k, v in given.items() if v is not None}},
            checkpoint_dir=None if checkpoint_dir is None else Path(checkpoint_dir),
            start_step=start_step,
            eval_loaders=eval_data_loaders or {},
            overwrite=overwrite,
            no_lock=no_lock,
            quiet=quiet,
            callbacks=Callbacks(after_step=after_step, after_evaluation=after_evaluation),
        )

    @checked(
        checkpoint_dir=PATH,
        step=optional(whole_number(0)),
        optimizer_state=optional(MAPPING),
        training_config=optional(MAPPING),
        overwrite=FLAG,
        no_lock=FLAG,
    )
    def save_checkpoint_bundle(
        self,
        checkpoint_dir: str | Path,
        step: int | None = None,
        optimizer_state: Mapping[str, Any] | None = None,
        training_config: Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
        no_lock: bool = False,
    ) -> None:
        """Save everything as a bundle, which replaces the previous one only when it is complete.

        Args:
            checkpoint_dir: Folder of the bundle.
            step: Optimizer updates done; without it, no training state is written. At the step
                of the model's own training, all that this knows is saved.
            optimizer_state: `optimizer.state_dict()` of an AdamW, or of the optimizer that
                `training_config` names; by default that of the model's own training, where it is at
                this step. Its parameters are known by their names where it was made with
                `model.named_parameters()`; otherwise an AdamW has one group, of
                `model.parameters()`, or one with weight decay and one without.
            training_config: Hyperparameters, fields of `TrainingConfig`; by default those of the
                model's own training. Learning rate, betas and weight decay are by default those
                of the optimizer; a `learning_rate` is the peak.
            overwrite: Whether to replace a model of another history, one that is further on, a
                training state by none, or a model by weights that are NaN or infinite.
            no_lock: Whether to save also where the file system has no locks, so that nothing keeps
                two processes from writing there at once.

        Raises:
            ConfigError: A hyperparameter is unknown, of the wrong type or out of range, or is not
                what the optimizer has; or no resume could go on with its state.
            SaveError: The bundle could not be written, or would replace what took training and is
                not of this model's history; the previous one is intact.
            LockedError: Another process is writing to the folder.
        """
        from mypt.engine.checkpoints.write import save_model

        if is_quantized(self):
            fix = "save it before `quantize`"
            raise SaveError(Problem(str(checkpoint_dir), "", "the model has 8-bit weights", fix))
        save_model(
            self,
            Path(checkpoint_dir),
            step,
            optimizer_state,
            training_config or {},
            overwrite=overwrite,
            no_lock=no_lock,
        )

    @checked(checkpoint_dir=PATH, overwrite=FLAG, no_lock=FLAG)
    def save(
        self, checkpoint_dir: str | Path, *, overwrite: bool = False, no_lock: bool = False
    ) -> None:
        """Save what inference requires: `model.pt`, `config.json` and `tokenizer.json`.

        Args:
            checkpoint_dir: Folder of the bundle.
            overwrite: Whether to replace a model of another history, or a training state by none.
            no_lock: Whether to save also where the file system has no locks, so that nothing keeps
                two processes from writing there at once.

        Raises:
            SaveError: The bundle could not be written, or would replace what took training; the
                previous one is intact.
            LockedError: Another process is writing to the folder.
        """
        self.save_checkpoint_bundle(checkpoint_dir, overwrite=overwrite, no_lock=no_lock)

    @classmethod
    @checked(
        path_or_name=PATH,
        device=DEVICE,
        dtype=optional(DTYPE),
        plugins=PLUGINS,
        options=optional(MAPPING),
        base=optional(PATH),
    )
    @reopen_if_saved
    def load(
        cls,
        path_or_name: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype | None = None,
        plugins: Plugins | None = None,
        options: Mapping[str, Any] | None = None,
        base: str | Path | None = None,
    ) -> GPT:
        """Load any checkpoint for inference, as `mypt.load` does, with the same arguments."""
        plugins = load_plugins() if plugins is None else plugins
        path = find_checkpoint(path_or_name)
        with naming_copies(path, plugins):
            opened = with_base(open_checkpoint(path, plugins, options), base)
            log_warnings(opened)
            model = build_model(opened, plugins, cls=cls, device=device)
        return model if dtype is None else model.to(dtype)

    @staticmethod
    @checked(path=PATH, map_location=DEVICE, options=optional(MAPPING))
    @reopen_if_saved
    def load_legacy(
        path: str | Path,
        map_location: str | torch.device = "cpu",
        *,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[GPT, Tokenizer | None, int, Mapping[str, Any] | None]:
        """Load a single-file checkpoint such as `latest.pt`; the file is not modified.

        Args:
            path: The file.
            map_location: Device of the model.
            options: Settings for the reader of a foreign checkpoint; see `mypt.load`.

        Returns:
            Model in evaluation mode, its tokenizer, the step, and the state of AdamW by the names
            of parameters, as `save_checkpoint_bundle` takes it.

        Raises:
            FormatError: The file is not such a checkpoint, or it or its optimizer state is damaged.
            ConfigError: The device is not available.
        """
        plugins = load_plugins()
        opened = open_checkpoint(Path(path), plugins, options)
        opened.check_flaws()
        model = build_model(opened, plugins, cls=GPT, for_training=True, device=map_location)
        step = 0 if opened.training_state is None else opened.training_state.step
        return model.eval(), model.tokenizer, step, opened.optimizer()
