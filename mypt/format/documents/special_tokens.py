"""Which tokens of a vocabulary have a role, such as the end of a text."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

# GPT-2's own, which its document does not list.
END_OF_TEXT, END_OF_TEXT_ID = "<|endoftext|>", 50256
# The special tokens that MyPT marked conversations with, beside GPT-2's own.
PADDING, END_OF_EPISODE = "<myPT_pad>", "<myPT_eot>"
_SPEAKERS = ("system", "user", "assistant")
_BEGINS, _ENDS = "<myPT_{role}>", "</myPT_{role}>"


@frozen(kw_only=True)
class SpecialTokens:
    """The ids of tokens with a role.

    Attributes:
        bos: What begins a text, in this order; mostly one token.
        eos: Any of these ends a text; the first is the one to write.
        pad: What fills a row of a batch.
        unk: What stands for what the vocabulary lacks.
        turn_end: Any of these ends a turn of a conversation; they may be among `eos`.
        system: What begins a turn of the system; None where the template needs several tokens.
        user: The same of the user.
        assistant: The same of the assistant.
    """

    bos: tuple[int, ...] = ()
    eos: tuple[int, ...] = ()
    pad: int | None = None
    unk: int | None = None
    turn_end: tuple[int, ...] = ()
    system: int | None = None
    user: int | None = None
    assistant: int | None = None
    extra: Mapping[str, Any] = field(factory=dict)


def marks_of(role: str) -> tuple[str, str]:
    """Return the special tokens before and after what a role of a conversation says, as in MyPT."""
    return _BEGINS.format(role=role), _ENDS.format(role=role)


def list_places(tokens: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Yield each id of a `special_tokens` document with its place in there."""
    for role, value in tokens.items():
        if isinstance(value, list | tuple):
            yield from (((role, place), number) for place, number in enumerate(value))
        elif isinstance(value, int):
            yield (role,), value


def find_gpt2_roles(special: Mapping[str, int]) -> dict[str, Any]:
    """Return the `special_tokens` document of GPT-2's vocabulary with special tokens beyond it.

    Args:
        special: Ids of the special tokens, by their text.
    """
    roles: dict[str, Any] = {"bos": [END_OF_TEXT_ID], "eos": [END_OF_TEXT_ID]}
    if END_OF_EPISODE in special:
        roles["eos"] = [special[END_OF_EPISODE], END_OF_TEXT_ID]
    if PADDING in special:
        roles["pad"] = special[PADDING]
    ends = [special[end] for _, end in map(marks_of, _SPEAKERS) if end in special]
    return {**roles, "turn_end": ends} if ends else roles
