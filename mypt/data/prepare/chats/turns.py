"""The turns of a conversation, and what holds for them whatever form they were read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from attrs import field, frozen

from mypt.chat.message import ASSISTANT, SYSTEM, TOOL, USER, Message
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROLES = (SYSTEM, USER, ASSISTANT, TOOL)
CORRECT_LINE = "correct the line, or remove it"
# Fields of a message that hold what it says, beside its text.
CALLS = "tool_calls"
SAID = (CALLS, "reasoning_content", "refusal")


@frozen(kw_only=True)
class Turn:
    """What one side says, or a text that nobody says.

    Attributes:
        role: One of `ROLES`; None for a text that nobody says.
        text: The text.
        pointer: JSON pointer to the text in its line.
        weight: How much the loss counts it, from 0 to 1; None for what is usual of its role.
        extra: The other fields of its message.
    """

    role: str | None
    text: str
    pointer: str
    weight: float | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def learnt_weight(self) -> float:
        """How much a model learns to write it: by default what the assistant says fully."""
        if self.weight is not None:
            return self.weight
        return float(self.role in (None, ASSISTANT))

    @property
    def is_learnt(self) -> bool:
        """Whether a model learns to write it."""
        return self.learnt_weight > 0

    @property
    def message(self) -> Message:
        """The same as a chat template reads it."""
        fields = {k: v for k, v in self.extra.items() if k != "weight" and v is not None}
        return Message(
            role=self.role or ASSISTANT, content=self.text, weight=self.weight, fields=fields
        )


@frozen(kw_only=True)
class Chat:
    """A conversation.

    Attributes:
        turns: What is said in it, at least one.
        tools: The tools that it offers, as a chat template reads them.
    """

    turns: tuple[Turn, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_raw(self) -> bool:
        """Whether it is a text that nobody says."""
        return self.turns[0].role is None


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
        if turn.is_learnt and not turn.text and not turn.extra.get(CALLS):
            fix = "write it, or remove the line"
            if turn.role is not None:
                fix = f'{fix}, or give the message "weight": 0'
            refuse(turn.pointer, "is empty, so there is nothing to learn", fix)
    if not any(turn.is_learnt for turn in turns):
        what = "has no message by the assistant with a weight above 0, so there is nothing to learn"
        refuse(pointer, what)


def identify(chat: Chat) -> dict[str, Any]:
    """Return what is equal for equal conversations, whatever form they were read from.

    The split of a conversation depends on it, so the forms that mypt read first are returned as
    they were read.
    """
    if chat.is_raw:
        return {turn.pointer.removeprefix("/"): turn.text for turn in chat.turns}
    said = [{**turn.extra, "role": turn.role, "content": turn.text} for turn in chat.turns]
    return {"messages": said, **({"tools": [*chat.tools]} if chat.tools else {})}


def refuse(pointer: str, what: str, fix: str = CORRECT_LINE) -> NoReturn:
    """Raise for a line that cannot be used; its reader adds the file and the number.

    Raises:
        DataError: Always.
    """
    raise DataError(Problem("", pointer, what, fix, kind="data.chat"))
