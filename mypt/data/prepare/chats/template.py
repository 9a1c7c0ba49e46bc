"""How a conversation is rendered as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.data.prepare.chats.turns import ROLES, Turn, refuse
from mypt.format.documents.special_tokens import END_OF_EPISODE, END_OF_TEXT, marks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.plugins.contracts import Tokenizer

_MARKS = {role: marks_of(role) for role in ROLES}
_PLAIN = {role: (f"{role.capitalize()}: ", "\n") for role in ROLES}


@frozen
class Span:
    """A stretch of an episode's text, and whether a model learns to write it."""

    text: str
    is_target: bool


@frozen
class Template:
    """How conversations are rendered as text.

    If the tokenizer has MyPT's special tokens, as MyPT did: `<myPT_user>...</myPT_user>` and so
    on, with `<myPT_eot>` at the end. Otherwise as `User: ...`, `Assistant: ...`, with an empty line
    after each, and `<|endoftext|>` at the end if that is a special token.

    Attributes:
        marks: The text before and after a message, by role.
        gap: The text after that, encoded on its own: two newlines at the end of a text would be
            one token of GPT-2, but are two once more follows, as in the prompt of a next turn.
        end: The text that ends an episode; may be empty.
        reserved: Marks that a message must not contain, since they would end it.
    """

    marks: Mapping[str, tuple[str, str]]
    gap: str
    end: str
    reserved: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokenizer: Tokenizer | None) -> Template:
        """Return the template for a tokenizer; None means one without special tokens."""
        special = {} if tokenizer is None else tokenizer.state().get("special_token_encoder") or {}
        marks = [mark for pair in _MARKS.values() for mark in pair]
        if all(mark in special for mark in (*marks, END_OF_EPISODE)):
            return cls(_MARKS, "", END_OF_EPISODE, (*marks, END_OF_EPISODE))
        if END_OF_TEXT in special:
            return cls(_PLAIN, "\n", END_OF_TEXT, (END_OF_TEXT,))
        return cls(_PLAIN, "\n", "")

    def spans(self, turns: Sequence[Turn]) -> Iterator[Span]:
        """Yield the spans of an episode; what is learnt and its end are targets.

        The end of the episode is one, unless the weight of the last turn is 0.
        """
        for turn in turns:
            if turn.role is None:
                yield Span(turn.text, turn.is_learnt)
                continue
            before, after = self.marks[turn.role]
            head = before.rstrip(" ")  # a space belongs to the word that follows it
            yield Span(head, is_target=False)
            yield Span(before[len(head) :] + turn.text + after, turn.is_learnt)
            yield Span(self.gap, turn.is_learnt)
        if self.end:
            yield Span(self.end, turns[-1].is_weighted)

    def to_jinja(self) -> str:
        """Return the template that renders the same text, as Hugging Face's tokenizers take it.

        It takes `messages`, each with `role` and `content`, and `add_generation_prompt`.
        """
        marks = {role: [before, after + self.gap] for role, (before, after) in self.marks.items()}
        turn = "{{ marks[turn['role']][0] + turn['content'] + marks[turn['role']][1] }}"
        prompt, end = self.marks["assistant"][0].rstrip(" "), self.end
        return (
            f"{{% set marks = {json.dumps(marks)} %}}"
            f"{{% for turn in messages %}}{turn}{{% endfor %}}"
            f"{{% if add_generation_prompt %}}{{{{ {json.dumps(prompt)} }}}}"
            f"{{% else %}}{{{{ {json.dumps(end)} }}}}{{% endif %}}"
        )

    def check_marks(self, turns: Sequence[Turn]) -> None:
        """Raise if a text contains a mark.

        Raises:
            DataError: One does.
        """
        for turn in turns:
            found = next((mark for mark in self.reserved if mark in turn.text), None)
            if found is not None:
                what = f"contains {found} in its text, where it would act as the special token"
                refuse(turn.pointer, what)
