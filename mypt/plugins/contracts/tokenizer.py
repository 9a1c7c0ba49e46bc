"""Tokenizers: text to ids and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import field, frozen

from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.arguments import where
from mypt.plugins.contracts.factory import JsonSchema, Options, VersionedFactory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray


class Tokenizer(Protocol):
    """Converts text to ids and back.

    Attributes:
        token_kind: The name it is registered under, as in `tokenizer.json`.
        n_vocab: Number of ids; `encode` may return any id in 0 ... n_vocab - 1.
        vocab_size: The vocab_size of a new model that uses it; at least `n_vocab`.
    """

    @property
    def token_kind(self) -> str: ...  # noqa: D102
    @property
    def n_vocab(self) -> int: ...  # noqa: D102
    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`.

        Raises:
            DataError: The text contains something that the vocabulary lacks.
        """
        ...

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`, a whole text; ids without text become U+FFFD."""
        ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes that `ids` add to a text before them.

        They may end in the middle of a character. Where the tokens of a text are joined by spaces,
        they begin with a space that `decode` leaves out.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` from which `build` makes an equal tokenizer.

        Of a new vocabulary also `special_tokens`, `add_bos` and `chat_template`, where it has them:
        mypt keeps those, puts `bos` before texts, and does not ask `build` to know them.
        """
        ...


# The rule of an argument that must be one; not every method is asked for.
TOKENIZER = where(
    lambda value: all(hasattr(value, name) for name in ("encode_array", "decode", "n_vocab")),
    "a tokenizer, such as model.need_tokenizer()",
)


@runtime_checkable
class DivisibleTokenizer(Protocol):
    """A `Tokenizer` that can also encode long texts in pieces, in parallel."""

    def cut(self, text: str, start: int) -> int | None:
        """Return the first position at or after `start` where the text may be cut in two.

        The ids of the two parts, concatenated, must be those of the whole, for this text and for
        every longer text that begins with it. None if no position is certain to satisfy this.
        """
        ...


@runtime_checkable
class GuardedTokenizer(Protocol):
    """A `Tokenizer` that can take what spells a special token for ordinary text."""

    def encode_ordinary(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32, without any special token.

        As `encode_array`, if the vocabulary had no special tokens. Where a tokenizer lacks this,
        mypt cuts a text within what spells one.
        """
        ...


@runtime_checkable
class ExportableTokenizer(Protocol):
    """A `Tokenizer` that `mypt export --to hf` can write for `transformers`."""

    def to_hugging_face(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the documents of a tokenizer with the same ids and texts.

        Returns:
            By the name of its file without `.json`: `tokenizer`, as Hugging Face's `tokenizers`
            reads it; and where there is something to say beyond `special_tokens`, `add_bos` and the
            chat templates of `state`, `tokenizer_config` and `generation_config`.

        Raises:
            FormatError: `tokenizers` cannot do the same.
        """
        ...


@frozen
class TokenizerFactory(VersionedFactory):
    """A tokenizer that a plugin offers; see also `VersionedFactory`.

    Attributes:
        token_kind: Its name in `tokenizer.json` and on the command line.
        build: Builds it from the fields of `tokenizer.json`.
        train: Makes a new one from the whole text that a model will be trained on.
        train_pieces: Makes the same one from the text in pieces, which together may be larger than
            memory; if None, the pieces are joined.
        options: JSON Schema of its section in `tokenizer.json`.
        train_options: JSON Schema of the training settings, which a user gives in the section of
            its package in `plugins` of a preset. If it is not None, `train` and `train_pieces` take
            that section as a second argument. A property `vocab_size` in it is the largest number
            of tokens, which `--vocab_size` sets as well.
    """

    token_kind: str
    build: Callable[[Mapping[str, Any]], Tokenizer]
    train: Callable[..., Tokenizer] = field(kw_only=True)
    train_pieces: Callable[..., Tokenizer] | None = field(default=None, kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)
    train_options: JsonSchema | None = field(default=None, kw_only=True)

    @property
    def train_properties(self) -> Mapping[str, Any]:
        """The training settings, with the JSON Schema of each."""
        properties: Mapping[str, Any] = (self.train_options or {}).get("properties", {})
        return properties

    def trained_on(self, pieces: Iterable[str], options: Options | None = None) -> Tokenizer:
        """Make a new tokenizer from a text in pieces.

        Args:
            pieces: The text.
            options: The user's training settings.

        Raises:
            ConfigError: The options do not match `train_options`.
        """
        given = () if self.train_options is None else (_check_train_options(options or {}, self),)
        if self.train_pieces is None:
            return self.train("".join(pieces), *given)
        return self.train_pieces(pieces, *given)


def _check_train_options(options: Options, factory: TokenizerFactory) -> Options:
    from mypt.format.schema.messages import explain_option_error, json_pointer
    from mypt.format.schema.validator import make_validator

    problems = [
        Problem("", f"plugins{json_pointer(error.absolute_path)}", *explain_option_error(error))
        for error in make_validator(factory.train_options or {}).iter_errors(dict(options))
    ]
    if problems:
        raise ConfigError(*problems)
    return options
