"""The chat templates that ship with mypt, and the special tokens that they need."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.documents.special_tokens import END_OF_EPISODE, END_OF_TEXT, marks_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@frozen
class ShippedTemplate:
    """A chat template that ships with mypt.

    Attributes:
        name: Its name.
        tokens: Texts of the special tokens that it writes by name; a vocabulary must have them.
        roles: Texts of the tokens that a vocabulary needs a role for, by role. Where the vocabulary
            has a token of that role already, that one is written.
        fixed_roles: Roles that its own tokens have, by role: what ends or begins a turn.
    """

    name: str
    tokens: tuple[str, ...]
    roles: Mapping[str, str]
    fixed_roles: Mapping[str, str]

    def fits(self, special: Iterable[str]) -> bool:
        """Return whether special tokens are all that it writes by name."""
        return set(self.tokens) <= set(special)

    @property
    def source(self) -> str:
        """The template itself, in Jinja."""
        return _read_source(self.name)


_SPEAKERS = ("system", "user", "assistant")
_MARKS = {role: marks_of(role) for role in _SPEAKERS}
SHIPPED: Mapping[str, ShippedTemplate] = {
    one.name: one
    for one in (
        ShippedTemplate("chatml", ("<|im_start|>", "<|im_end|>"), {}, {"turn_end": "<|im_end|>"}),
        ShippedTemplate(
            "llama3",
            ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
            {"bos": "<|begin_of_text|>"},
            {"turn_end": "<|eot_id|>"},
        ),
        ShippedTemplate(
            "mypt",
            (*(mark for pair in _MARKS.values() for mark in pair), END_OF_EPISODE),
            {},
            {
                "eos": END_OF_EPISODE,
                "turn_end": _MARKS["assistant"][1],
                **{role: begin for role, (begin, _) in _MARKS.items()},
            },
        ),
        ShippedTemplate("plain", (), {"eos": END_OF_TEXT}, {}),
    )
}


def find_shipped_name(source: str) -> str | None:
    """Return the name of the shipped template that a source equals; None if it is another."""
    return next((name for name, one in SHIPPED.items() if one.source == source), None)


def find_template(own: str | None, special: Iterable[str]) -> str | None:
    """Return the chat template of a vocabulary; None where there is none.

    Args:
        own: The one that its document has.
        special: Texts of its special tokens. Where they are MyPT's marks, MyPT's template is its.
    """
    if own is None and SHIPPED["mypt"].fits(special):
        return SHIPPED["mypt"].source
    return own


@cache
def _read_source(name: str) -> str:
    path = resources.files("mypt.chat") / "templates" / f"{name}.jinja"
    return path.read_text("utf-8").removesuffix("\n")
