"""The model as the engine works on it: architecture, weights and tokenizer in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.stops import stop_tokens
from mypt.data.randomness import Purpose, torch_seed
from mypt.engine.config.plugin_sections import check_sections
from mypt.engine.history import History
from mypt.engine.runtime.out_of_memory import BUILDING, explain_oom
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import to_document
from mypt.format.documents.manifest import GENERATE
from mypt.format.documents.vocabulary import pick_text_fields
from mypt.format.errors import ConfigError, FormatError, PluginError, Problem
from mypt.format.rules.arguments import checked, instance_of, optional, whole_number
from mypt.format.rules.plugin_settings import BUILT_IN_TOKENIZERS
from mypt.format.rules.requirements import find_requirements
from mypt.model.initialisation import WithoutValues, initialise
from mypt.model.transformer import Transformer
from mypt.plugins.contracts.tokenizer import TOKENIZER
from mypt.plugins.manager import Plugins, load_plugins
from mypt.plugins.requirements import check_features, check_requirements
from mypt.tokenizers.bare_ids import AbsentTokenizer, BareIds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingConfig
    from mypt.format.rules.requirements import Requirements
    from mypt.plugins.contracts.tokenizer import Tokenizer


def find_model_requirements(model: LanguageModel, training: TrainingConfig | None) -> Requirements:
    """Return the plugins that a bundle of a model requires.

    Args:
        model: The model.
        training: Hyperparameters of its run; None for a bundle that only inference needs.
    """
    return find_requirements(
        model.config,
        None if model.tokenizer is None else model.tokenizer.token_kind,
        training,
        layouts=model.plugins.layouts,
        settings=model.plugins.settings,
        version_of=model.plugins.version_of,
        before=model.needs,
    )


def tokenizer_or_stand_in(model: LanguageModel) -> Tokenizer:
    """Return the tokenizer of a model, or in its place what knows its ids and refuses texts.

    Raises:
        ConfigError: The model has none.
    """
    try:
        return model.need_tokenizer()
    except (FormatError, PluginError) as error:
        if model.tokenizer_state is None:
            raise
        document = to_document(model.tokenizer_state)
        return AbsentTokenizer(model.config.vocab_size, document, error)


def check_new(model: LanguageModel) -> None:
    """Raise if a new model has options that its plugins do not know.

    Raises:
        ConfigError: It has options for a package that is not installed, or that it does not know.
    """
    kind = None if model.tokenizer is None else model.tokenizer.token_kind
    check_sections({**to_document(model.config), "tokenization": kind}, model.plugins.settings)


def first_seed(seed: int) -> int:
    """Return what the first weights of a run with a seed are drawn from."""
    return torch_seed(seed, Purpose.INIT, 0, 0)


class LanguageModel(Transformer):
    """A transformer with its tokenizer, its plugins and what its checkpoint said of them.

    `model(idx)` takes idx (B, T) int64 with T <= block_size and gives logits (B, T, vocab_size);
    `model.loss(idx, targets)` gives the training loss, in nats per token, without full logits.

    Attributes:
        config: The architecture, a `GPTConfig`.
        tokenizer: Text to ids and back; None for a model of bare ids, or without the plugin that
            reads its tokenizer.
        tokenizer_state: What its checkpoint says of the tokenizer, kept when it is saved.
        needs: The plugins that its checkpoint requires, by package, as a manifest has them.
        opened_from: The path that its checkpoint was opened by, for messages; None for a new model.
        history: The training behind its weights, as far as mypt did or read it.
    """

    @checked(
        config=instance_of("a GPTConfig", GPTConfig),
        tokenizer=optional(TOKENIZER),
        seed=whole_number(0, below=2**64),
        plugins=optional(instance_of("what load_plugins returns", Plugins)),
    )
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
            ConfigError: The config cannot be, or the tokenizer does not fit; or a new model has
                options for a package that is not installed, or that it does not know.
            PluginError: A part of the config is of no registered plugin.
            OutOfMemoryError: The model is too large for this machine.
        """
        plugins = load_plugins() if plugins is None else plugins
        with explain_oom(BUILDING), WithoutValues():  # they come below, or from a file
            super().__init__(config, plugins)
        if tokenizer is not None and tokenizer.n_vocab > config.vocab_size:
            what = f"is {config.vocab_size}, but the tokenizer has {tokenizer.n_vocab} ids"
            fix = f"set it to {tokenizer.vocab_size}"
            raise ConfigError(Problem("", "vocab_size", what, fix))
        self.tokenizer = tokenizer
        self.tokenizer_state: TokenizerState | None = None
        self.needs: Mapping[str, Any] = {}
        self.opened_from: Path | None = None
        self.history = History()
        if not next(self.parameters()).is_meta:  # else weights are about to be loaded
            check_new(self)
            initialise(self, first_seed(seed))

    @property
    def token_kind(self) -> str | None:
        """Name of its tokenizer, also where the plugin that reads it is missing; None without."""
        named = self.tokenizer_state if self.tokenizer is None else self.tokenizer
        return None if named is None else named.token_kind

    @property
    def begin_ids(self) -> tuple[int, ...]:
        """The ids that begin a text that it continues or scores; none where texts are bare ids."""
        if self.tokenizer is None:
            return ()
        known = self.tokenizer_state
        if known is None or known.token_kind != self.tokenizer.token_kind:
            known = pick_text_fields(self.tokenizer.state())
        return known.begin_ids

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The ids that end a turn or a text, as its vocabulary says; none where texts are ids."""
        return () if self.tokenizer is None else stop_tokens(self.tokenizer.state())

    @checked()
    def need_tokenizer(self) -> Tokenizer:
        """Return the tokenizer.

        Raises:
            ConfigError: The model has none.
            PluginError: It requires a plugin that is not installed.
            FormatError: It requires a feature of a later version of the format.
        """
        state = self.tokenizer_state if self.tokenizer is None else None
        if state is not None:
            check_features("tokenizer", state, self.opened_from)
        name = "this model" if self.opened_from is None else str(self.opened_from)
        check_requirements(self.needs, self.plugins, GENERATE, name)
        if state is not None:
            self.plugins.tokenizer(state.token_kind)  # says why there is none
        if self.tokenizer is None:
            fix = "put its tokenizer.json beside it, or call the model with ids"
            raise ConfigError(Problem("", "tokenizer", "this model has no tokenizer", fix))
        return self.tokenizer

    @checked()
    def tokenizer_or_ids(self) -> Tokenizer:
        """Return the tokenizer, or for a model without one what reads and writes ids as numbers.

        Where a tokenizer is known and not here, what is returned takes ids and refuses texts.
        """
        if self.tokenizer is None and not self._may_get_tokenizer():
            return BareIds(self.config.vocab_size)
        return tokenizer_or_stand_in(self)

    def _may_get_tokenizer(self) -> bool:
        """Return whether the checkpoint names a tokenizer of which it is known where it is."""
        state = self.tokenizer_state
        if state is None:
            return False
        is_known = (
            state.token_kind in BUILT_IN_TOKENIZERS or state.token_kind in self.plugins.tokenizers
        )
        hints = state.requires or state.plugins or self.needs or self.plugins.faults
        return bool(is_known or hints)
