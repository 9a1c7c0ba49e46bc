"""The model as a user holds it: architecture, weights and tokenizer in one object."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mypt.data.randomness import Purpose, torch_seed
from mypt.format.errors import ConfigError, PluginError, Problem
from mypt.model.generation import Sampling, generate
from mypt.model.initialisation import initialise
from mypt.model.transformer import Transformer
from mypt.plugins.manager import Plugins, load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.data.loader import GPTDataLoader
    from mypt.format.documents import GPTConfig, TokenizerState, TrainingState
    from mypt.plugins.contracts import Tokenizer


class GPT(Transformer):
    """A GPT with its tokenizer: call it for logits, or let it generate, train and save.

    `model(idx)` takes idx (B, T) int64 with T <= block_size and gives logits (B, T, vocab_size);
    `model.loss(idx, targets)` gives the training loss, in nats per token, without full logits.

    Attributes:
        config: The architecture, a `GPTConfig`.
        tokenizer: Text to ids and back; None for a model of bare ids, or without the plugin that
            reads its tokenizer.
        tokenizer_state: What its checkpoint says of the tokenizer, kept when it is saved.
        plugins: The plugins its parts came from.
    """

    def __init__(
        self,
        config: GPTConfig,
        tokenizer: Tokenizer | None = None,
        *,
        seed: int = 1337,
        plugins: Plugins | None = None,
    ) -> None:
        """Assemble a model with freshly initialised weights.

        Args:
            config: The architecture.
            tokenizer: Must not have more ids than `config.vocab_size`.
            seed: Decides the first weights.
            plugins: Where architecture parts are looked up; by default all that are installed.

        Raises:
            ConfigError: The config cannot be, or the tokenizer does not fit.
            PluginError: A part of the config is of no registered plugin.
        """
        plugins = load_plugins() if plugins is None else plugins
        super().__init__(config, plugins)
        if tokenizer is not None and tokenizer.n_vocab > config.vocab_size:
            what = f"is {config.vocab_size}, but the tokenizer has {tokenizer.n_vocab} ids"
            fix = f"set it to {tokenizer.vocab_size}"
            raise ConfigError(Problem("", "vocab_size", what, fix))
        self.plugins = plugins
        self.tokenizer = tokenizer
        self.tokenizer_state: TokenizerState | None = None
        if not self.token_embedding_table.weight.is_meta:  # else weights are about to be loaded
            initialise(self, torch_seed(seed, Purpose.INIT, 0, 0))

    def generate(
        self,
        prompt: str = "",
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        use_cache: bool = True,
        **options: Any,
    ) -> str:
        """Continue a text.

        Args:
            prompt: Text to continue. Only its last `block_size` tokens are looked at.
            max_new_tokens: How many tokens to add.
            sampling: How to choose tokens.
            use_cache: Whether to keep keys and values; the text is the same without, only slower.
            **options: Instead of `sampling`, its fields: `temperature`, `top_k`, `top_p`,
                `repetition_penalty`, `seed`.

        Returns:
            The prompt and its continuation.

        Raises:
            DataError: The prompt has a character that the vocabulary lacks.
            ConfigError: An option is out of range, or the model has no tokenizer.
        """
        sampling = Sampling(**options) if sampling is None else sampling
        return prompt + "".join(
            self.stream(prompt, max_new_tokens, sampling=sampling, use_cache=use_cache)
        )

    def stream(
        self,
        prompt: str = "",
        max_new_tokens: int = 200,
        *,
        sampling: Sampling | None = None,
        use_cache: bool = True,
    ) -> Iterator[str]:
        """Continue a text piece by piece, as `generate` does; never yields half a character."""
        tokenizer = self.need_tokenizer()
        ids = tokenizer.encode(prompt) or [self._first_id(tokenizer)]
        device = next(self.parameters()).device
        tokens = generate(
            self,
            torch.tensor([ids], device=device),
            max_new_tokens,
            Sampling() if sampling is None else sampling,
            allowed_vocab=tokenizer.n_vocab,
            use_cache=use_cache,
        )
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for token in tokens:
            piece = decoder.decode(tokenizer.decode_bytes([int(token)]))
            if piece:
                yield piece
        tail = decoder.decode(b"", final=True)
        if tail:
            yield tail

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
        """Train on the data of a loader.

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
        """
        from mypt.engine.fitting import fit

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
            SaveError: It could not be written; nothing is lost.
            LockedError: Another process writes there.
        """
        from mypt.engine.checkpoints import save_model

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
        from mypt.engine.loading import load

        return load(path_or_name)

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
            parameter order of `mypt.engine.optimizer.make_optimizer`.

        Raises:
            FormatError: It is not such a file, or damaged.
        """
        from mypt.engine.loading import load_with_optimizer

        return load_with_optimizer(path, map_location)

    def need_tokenizer(self) -> Tokenizer:
        """Give the tokenizer.

        Raises:
            ConfigError: The model has none.
            PluginError: It takes a plugin that is not installed.
        """
        if self.tokenizer is None and self.tokenizer_state is not None:
            raise _needs_plugin(self.tokenizer_state)
        if self.tokenizer is None:
            fix = "put its tokenizer.json beside it, or call the model with ids"
            raise ConfigError(Problem("", "tokenizer", "this model has no tokenizer", fix))
        return self.tokenizer

    @staticmethod
    def _first_id(tokenizer: Tokenizer) -> int:
        """Begin an empty prompt where texts begin: at a new line, where the vocabulary has one."""
        from mypt.format.errors import DataError

        try:
            return tokenizer.encode("\n")[0]
        except DataError:
            return 0


def _needs_plugin(state: TokenizerState) -> PluginError:
    packages = " or ".join(state.plugins) or "the package that brings it"
    what = f"no installed plugin offers `{state.token_kind}`, this model's tokenizer"
    fix = f"install {packages}, or call the model with ids"
    return PluginError(Problem("", "tokenizer", what, fix, kind="plugin"))
