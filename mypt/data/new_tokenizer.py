"""Train a new tokenizer, with the options that a user gives for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.rules.plugin_settings import TOKENIZATION, select_own_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins


@frozen
class NewTokenizer:
    """A tokenizer to train.

    Attributes:
        token_kind: The name that it is registered under.
        sections: Settings by package, as in `plugins` of a preset.
        vocab_size: Its largest number of tokens, for one that can be trained to a size.
    """

    token_kind: str = "gpt2"
    sections: Mapping[str, Any] = field(factory=dict, kw_only=True)
    vocab_size: int | None = field(default=None, kw_only=True)

    def options(self, plugins: Plugins) -> dict[str, Any]:
        """Return the options of its training.

        Raises:
            PluginError: No plugin offers it.
        """
        factory = plugins.tokenizer(self.token_kind)
        if factory.train_options is None:
            return {}
        key = (TOKENIZATION, self.token_kind)
        section = self.sections.get(plugins.settings[key].package, {})
        options = select_own_options(section, key, plugins.settings)
        if self.vocab_size is not None and "vocab_size" in factory.train_properties:
            options.setdefault("vocab_size", self.vocab_size)
        return options

    def train(self, texts: Iterable[str], plugins: Plugins) -> Tokenizer:
        """Train it on texts, which together may be larger than memory.

        Raises:
            ConfigError: Its options do not fit.
            PluginError: No plugin offers it, or it fails.
        """
        return plugins.tokenizer(self.token_kind).trained_on(texts, self.options(plugins))
