"""The turns of a conversation, and what holds for them whatever form they were read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen

from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROLES = ("system", "user", "assistant")
CORRECT_LINE = "correct the line, or remove it"


@frozen(kw_only=True)
class Turn:
    """What one side says, or a text that nobody says.

    Attributes:
        role: One of `ROLES`; None for a text that nobody says.
        text: The text.
        pointer: JSON pointer to the text in its line.
        is_weighted: Whether the loss may count it: its weight is 1, or not stated.
        extra: The other fields of its message.
    """

    role: str | None
    text: str
    pointer: str
    is_weighted: bool = True
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def is_learnt(self) -> bool:
        """Whether a model learns to write it."""
        return self.is_weighted and self.role not in ("system", "user")


def check_turns(turns: Sequence[Turn], pointer: str) -> None:
    """Raise if a conversation cannot be learnt from.

    Args:
        turns: The turns of the conversation.
        pointer: JSON pointer to all of them.

    Raises:
        DataError: A text is not Unicode or has a NUL character, one that is to be learnt is empty,
            or none is.
    """
    for turn in turns:
        try:
            turn.text.encode()
        except UnicodeEncodeError:
            refuse(turn.pointer, "contains half a character (an unpaired surrogate)")
        if "\0" in turn.text:
            refuse(turn.pointer, "contains a NUL character (\\u0000), which no text has")
        if turn.is_learnt and not turn.text:
            fix = "write it, or remove the line"
            if turn.role is not None:
                fix = f'{fix}, or give the message "weight": 0'
            refuse(turn.pointer, "is empty, so there is nothing to learn", fix)
    if not any(turn.is_learnt for turn in turns):
        what = "has no message by the assistant with a weight of 1, so there is nothing to learn"
        refuse(pointer, what)


def identify(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return what is equal for equal conversations, whatever form they were read from.

    The split of a conversation depends on it, so the forms that mypt read first are returned as
    they were read.
    """
    if turns[0].role is None:
        return {turn.pointer.removeprefix("/"): turn.text for turn in turns}
    said = [{**turn.extra, "role": turn.role, "content": turn.text} for turn in turns]
    return {"messages": said}


def refuse(pointer: str, what: str, fix: str = CORRECT_LINE) -> NoReturn:
    """Raise for a line that cannot be used; its reader adds the file and the number.

    Raises:
        DataError: Always.
    """
    raise DataError(Problem("", pointer, what, fix, kind="data.chat"))
