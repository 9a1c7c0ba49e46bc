"""The model as a user holds it: architecture, weights and tokenizer in one object."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.engine.checkpoints.build import build_model
from mypt.engine.checkpoints.paths import find_checkpoint
from mypt.engine.inference.continuation import Ending, Wanted
from mypt.engine.inference.text import continuations, several, stream
from mypt.engine.language_model import LanguageModel
from mypt.format.errors import ConfigError, Problem, SaveError
from mypt.format.open import open_checkpoint
from mypt.model.decoding.sampling_options import sampling_of
from mypt.model.quantized import is_quantized, quantize
from mypt.plugins.manager import load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import torch

    from mypt.data.batches.loader import GPTDataLoader
    from mypt.engine.inference.continuation import Continuation
    from mypt.engine.inference.scoring import Score
    from mypt.format.documents.training import TrainingState
    from mypt.model.decoding.sampling_options import Sampling
    from mypt.plugins.contracts import Tokenizer


class GPT(LanguageModel):
    """A GPT with its tokenizer: call it for logits, or let it generate, train and save.

    `model(idx)` takes idx (B, T) int64 with T <= block_size and gives logits (B, T, vocab_size);
    `model.loss(idx, targets)` gives the training loss, in nats per token, without full logits.

    Attributes:
        config: The architecture, a `GPTConfig`.
        tokenizer: Text to ids and back; None for a model of bare ids, or without the plugin that
            reads its tokenizer.
        tokenizer_state: What its checkpoint says of the tokenizer, kept when it is saved.
        needs: The plugins that its checkpoint says it needs, by package.
        plugins: The plugins its parts came from.
    """

    def generate(
        self,
        prompt: str = "",
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        stop: str | Iterable[str] = (),
        stop_tokens: int | str | Iterable[int | str] = (),
        use_cache: bool = True,
        **options: Any,
    ) -> str:
        """Continue a text, without dropout in whatever mode the model is.

        Args:
            prompt: Text to continue. Only its last `block_size` tokens are looked at.
            max_new_tokens: How many tokens to add.
            sampling: How to choose tokens.
            stop: A string before which the text ends, or several.
            stop_tokens: A token before which it ends, by id or by text, or several.
            use_cache: Whether to keep keys and values; the text is the same without, only slower.
            **options: Fields of `sampling`, which they win over: `temperature`, `top_k`, `top_p`,
                `min_p`, `repetition_penalty`, `no_repeat_ngram_size`, `seed`.

        Returns:
            The prompt and its continuation.

        Raises:
            DataError: The prompt has a character that the vocabulary lacks.
            ConfigError: An option is unknown or out of range, or the model has no tokenizer.
        """
        continued = self.generate_many(
            [prompt],
            max_new_tokens,
            sampling=sampling,
            stop=stop,
            stop_tokens=stop_tokens,
            use_cache=use_cache,
            **options,
        )
        return prompt + next(continued).text

    def stream(
        self,
        prompt: str = "",
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        stop: str | Iterable[str] = (),
        stop_tokens: int | str | Iterable[int | str] = (),
        use_cache: bool = True,
        **options: Any,
    ) -> Iterator[str]:
        """Continue a text piece by piece, as `generate` does and with the same options.

        A piece is never half a character, nor what may turn out to belong to a stop string.
        """
        ending = Ending.of(self.need_tokenizer(), max_new_tokens, stop, stop_tokens)
        return stream(self, prompt, sampling_of(sampling, options), ending, use_cache=use_cache)

    def generate_many(
        self,
        prompts: Iterable[str],
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
        **options: Any,
    ) -> Iterator[Continuation]:
        """Continue several texts, `batch_size` at once.

        Each becomes what it would become alone. A text that ends early does not end the others.

        Args:
            prompts: Texts to continue, of any lengths.
            max_new_tokens: See `generate`, and so are the options not named here.
            sampling: How to choose tokens.
            stop: A string before which a text ends, or several.
            stop_tokens: A token before which it ends, by id or by text, or several.
            samples: Continuations of each prompt. The first is that of `samples=1`.
            batch_size: Texts to continue at once, 1 or more.
            log_probs: Also give the log probability of each token.
            logits: Also give the logits of each token.
            use_cache: Whether to keep keys and values.
            **options: Fields of `sampling`, which they win over.

        Yields:
            One `Continuation` for each prompt and sample, in order.

        Raises:
            DataError: A prompt has a character that the vocabulary lacks.
            ConfigError: An option is unknown or out of range, the prompts are a single text, or
                the model has no tokenizer.
        """
        return continuations(
            self,
            several(prompts),
            sampling_of(sampling, options),
            Ending.of(self.need_tokenizer(), max_new_tokens, stop, stop_tokens),
            samples=samples,
            batch_size=batch_size,
            wanted=Wanted(log_probs=log_probs, logits=logits),
            use_cache=use_cache,
        )

    def score(self, text: str, *, stride: int | None = None) -> Score:
        """Measure how well the model predicts a text.

        A text longer than `block_size` tokens is read in windows of that length, each `stride`
        tokens after the one before; every token counts once, in the first window that has it, so
        it is predicted from at least `block_size - stride` tokens (those of the first window from
        all there are). The first token has nothing before it and does not count. There is no
        dropout, in whatever mode the model is.

        Args:
            text: At least two tokens.
            stride: 1 to `block_size`; smaller is slower and nearer to what the model can. By
                default half of `block_size`.

        Raises:
            DataError: The text is too short, or has a character that the vocabulary lacks.
            ConfigError: The stride is out of range, or the model has no tokenizer.
        """
        from mypt.engine.inference.scoring import score

        return score(self, text, stride)

    def quantize(self) -> GPT:
        """Round all linear layers to 8 bits, for generation and scoring on a CPU.

        A quarter of their memory, and faster; `score` says what it costs in loss. The model can
        neither be trained nor saved afterwards.

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
        return self

    def fit(
        self,
        data_loader: GPTDataLoader,
        optimizer: torch.optim.Optimizer | None = None,
        max_iters: int | None = None,
        eval_interval: int | None = None,
        eval_iters: int | None = None,
        checkpoint_dir: str | Path | None = None,
        start_step: int = 0,
        learning_rate: float | None = None,
        *,
        eval_data_loaders: Mapping[str, GPTDataLoader] | None = None,
        quiet: bool = False,
        **training: Any,
    ) -> TrainingState:
        """Train on the data of a loader; the model is in evaluation mode afterwards.

        Args:
            data_loader: Where batches come from.
            optimizer: By default AdamW with decay and no-decay groups.
            max_iters: Updates to reach, counted from the model's first.
            eval_interval: Evaluate and save every so many updates.
            eval_iters: Batches averaged per evaluation and split.
            checkpoint_dir: Where the bundle goes; nothing is saved without it.
            start_step: Updates this model has behind it.
            learning_rate: Peak learning rate; by default that of `optimizer`.
            eval_data_loaders: Further data sets that every evaluation measures, by name.
            quiet: Print nothing.
            **training: Further fields of `TrainingConfig`.

        Returns:
            Where the training ended.

        Raises:
            ConfigError: An option is unknown or out of range.
            SaveError: A checkpoint could not be written; the one before it is whole.
            OutOfMemoryError: The memory is too small for a step; the same holds.
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
            quiet=quiet,
        )

    def save_checkpoint_bundle(
        self,
        checkpoint_dir: str | Path,
        step: int | None = None,
        optimizer_state: Mapping[str, Any] | None = None,
        training_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Save everything as one bundle; the one that was there is replaced only when it is whole.

        Args:
            checkpoint_dir: Folder of the bundle.
            step: Optimizer updates done; without it no training state is written.
            optimizer_state: `optimizer.state_dict()`.
            training_config: Hyperparameters, fields of `TrainingConfig`.

        Raises:
            ConfigError: A hyperparameter is unknown, of the wrong type or out of range.
            SaveError: It could not be written; nothing is lost.
            LockedError: Another process writes there.
        """
        from mypt.engine.checkpoints.write import save_model

        if is_quantized(self):
            fix = "save it before `quantize`"
            raise SaveError(Problem(str(checkpoint_dir), "", "the model is of 8-bit weights", fix))
        save_model(self, Path(checkpoint_dir), step, optimizer_state, training_config or {})

    def save(self, checkpoint_dir: str | Path) -> None:
        """Save what inference needs: `model.pt`, `config.json` and `tokenizer.json`.

        Raises:
            SaveError: It could not be written; nothing is lost.
        """
        self.save_checkpoint_bundle(checkpoint_dir)

    @classmethod
    def load(cls, path_or_name: str | Path) -> GPT:
        """Open any checkpoint for inference, as `mypt.load` does."""
        plugins = load_plugins()
        opened = open_checkpoint(find_checkpoint(path_or_name), plugins)
        return build_model(opened, plugins, cls=cls)

    @staticmethod
    def load_legacy(
        path: str | Path, map_location: str | torch.device = "cpu"
    ) -> tuple[GPT, Tokenizer | None, int, Mapping[str, Any] | None]:
        """Open a single-file checkpoint such as `latest.pt`; the file is left alone.

        Args:
            path: The file.
            map_location: Where the model goes.

        Returns:
            Model in evaluation mode, its tokenizer, the step, and the AdamW state dict in the
            parameter order of `mypt.engine.training.optimizer.make_optimizer`.

        Raises:
            FormatError: It is not such a file, or damaged.
            ConfigError: There is no such device here.
        """
        plugins = load_plugins()
        opened = open_checkpoint(Path(path), plugins)
        model = build_model(opened, plugins, cls=GPT, for_training=True, device=map_location)
        step = 0 if opened.training_state is None else opened.training_state.step
        return model.eval(), model.tokenizer, step, opened.optimizer()
