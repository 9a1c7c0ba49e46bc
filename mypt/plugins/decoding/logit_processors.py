"""Logit processors: what changes the logits of a text before its next token is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from attrs import field, frozen

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.plugins.contracts.tokenizer import Tokenizer


class LogitProcessor(Protocol):
    """Changes the logits of one text, before each of its new tokens is chosen.

    It belongs to one text and may keep what it needs: it is called for each new token in order, so
    that `ids` holds one more than in the call before.
    """

    def __call__(self, logits: Tensor, ids: Sequence[int], /) -> Tensor:
        """Return the logits that the next token is chosen by.

        Args:
            logits: Those of the model, changed by the processors before this one; (vocab_size,)
                float32, on the model's device. They are this text's own and may be changed in
                place. Ids without text, `n_vocab` and up, are -inf.
            ids: The new tokens so far, without those of the prompt.

        Returns:
            (vocab_size,) float32; -inf excludes a token. At least one must stay possible.
        """
        ...


@runtime_checkable
class EndingLogitProcessor(Protocol):
    """A `LogitProcessor` that also decides when its text may end and must end.

    It need not know which tokens end a text. Once `is_complete`, mypt makes the end tokens of the
    vocabulary and the stop tokens of the user possible again; before, they are possible only where
    the processor lets them be.
    """

    def __call__(self, logits: Tensor, ids: Sequence[int], /) -> Tensor:
        """Return the logits that the next token is chosen by; see `LogitProcessor`."""
        ...

    def is_complete(self, ids: Sequence[int]) -> bool:
        """Return whether a text of these new tokens is whole, also if more could follow.

        A text that ends where this is False, at the limit of its tokens or before a stop string,
        is reported as unfinished.
        """
        ...

    def is_done(self, ids: Sequence[int]) -> bool:
        """Return whether nothing can follow; mypt ends the text there, also without an end token.

        Asked before the first token and after each.
        """
        ...


# From the ids of a prompt, the processor of the text that continues it.
BeginText = Callable[[Sequence[int]], LogitProcessor]


@frozen
class LogitProcessorFactory:
    """A kind of logit processor that a plugin offers.

    Attributes:
        name: Its name in `processors` of a `Sampling`.
        build: Returns what makes the processor of each text, from options that match `options` and
            from the tokenizer. Called once for a generation; what takes long, such as compiling a
            grammar, belongs here. Raises a `ConfigError` for options that this vocabulary cannot
            follow. Import torch inside.
        options: JSON Schema of its options.
    """

    noun: ClassVar[str] = "logit processor"

    name: str
    build: Callable[[Mapping[str, Any], Tokenizer], BeginText]
    options: Mapping[str, Any] = field(factory=dict, kw_only=True)
