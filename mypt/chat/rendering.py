"""What a template writes for a conversation, with the special tokens as one character each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.chat.sandbox.budget import Budget
from mypt.chat.sandbox.counter import BUDGET
from mypt.chat.sandbox.render import BEGIN, END, PLACE, render
from mypt.format.errors import DataError, MyptError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.chat.guard import Guard

_HARMLESS = "Hi"  # says nothing that a template would look for


@frozen(eq=False)
class Rendering:
    """A conversation, and the template that renders it.

    Attributes:
        source: The template.
        guard: Keeps the messages apart from special tokens.
        messages: The messages, as the template reads them.
        given: Further variables of the caller, such as `tools`, which are guarded as messages are.
        variables: Those of the vocabulary, such as `bos_token`.
        looks_within: Whether the template looks for special tokens in what messages say. Then
            messages stay as they are, and the tokens that it writes itself by name are told apart.
    """

    source: str
    guard: Guard
    messages: Sequence[Mapping[str, Any]]
    given: Mapping[str, Any]
    variables: Mapping[str, str]
    looks_within: bool = False

    def text(self, count: int | None = None, *, add_generation_prompt: bool = False) -> str:
        """Return what the template writes for the first messages, or for all.

        Special tokens are one character each, and answers stand between the marks of the guard.

        Raises:
            ConfigError: The template fails.
            DataError: It refuses the conversation.
        """
        if self.looks_within:
            names = tuple(self.guard.char_of.items())
            variables = {n: self.guard.collapse(text) for n, text in self.variables.items()}
            read = {**variables, **self.given, "messages": self.messages[:count]}
            return self._render(read, add_generation_prompt, names)
        text = self._render_covered(count, add_generation_prompt)
        return self.guard.uncover(self.guard.collapse(text))

    def settle(self, *, add_generation_prompt: bool) -> Rendering:
        """Return the rendering that writes what the template does without a guard.

        Raises:
            DataError: The template looks into what messages say in a way that cannot be guarded.
        """
        if self._covered_messages == [*self.messages] and self._covered_given == self.given:
            return self
        read = {**self.variables, **self.given, "messages": self.messages}
        wanted = self._render(read, add_generation_prompt)
        covered = self._render_covered(None, add_generation_prompt)
        is_same = self.guard.uncover(covered) == wanted
        other = evolve(self, looks_within=True)
        found = other.text(add_generation_prompt=add_generation_prompt)
        if self.guard.spell(found) == wanted and self._names_tokens(add_generation_prompt):
            # It may write itself what it has found within, as it was.
            finds_more = self._count(found) > self._count(self.guard.collapse(covered))
            if finds_more or not is_same:
                return other
        if not is_same:
            what = "looks for the name of a special token in what a message says, which has it"
            fix = "take the names of special tokens out of the message"
            raise DataError(Problem(*PLACE, what, fix, kind="chat.special"))
        return self

    def without_texts(self) -> Rendering:
        """Return the rendering of the same messages where nothing is said in them."""
        emptied = [_replace_texts(one, "") | {"role": one["role"]} for one in self.messages]
        return evolve(self, messages=emptied, given={})

    def _names_tokens(self, add_generation_prompt: bool) -> bool:
        """Return whether the template writes each special token by its whole name."""
        calm = [_replace_texts(one, _HARMLESS) | {"role": one["role"]} for one in self.messages]
        one = evolve(self, messages=calm, given={})
        other = evolve(one, looks_within=True)
        try:
            first, second = (
                each.text(add_generation_prompt=add_generation_prompt) for each in (one, other)
            )
        except MyptError:  # it wants other texts
            return False
        return first == second

    def _count(self, text: str) -> int:
        return sum(char in self.guard.special_chars for char in text)

    def _render_covered(self, count: int | None, add_generation_prompt: bool) -> str:
        messages = self._covered_messages[:count]
        read = {**self.variables, **self._covered_given, "messages": messages}
        return self._render(read, add_generation_prompt)

    def _render(
        self,
        read: Mapping[str, Any],
        add_generation_prompt: bool,
        names: tuple[tuple[str, str], ...] = (),
    ) -> str:
        variables = {
            "tools": None,
            "documents": None,
            **read,
            "add_generation_prompt": add_generation_prompt,
            BEGIN: self.guard.begin,
            END: self.guard.end,
            BUDGET: Budget([read]),
        }
        return render(self.source, variables, names)

    @cached_property
    def _covered_messages(self) -> list[dict[str, Any]]:
        return [self.guard.cover_message(message) for message in self.messages]

    @cached_property
    def _covered_given(self) -> Mapping[str, Any]:
        covered: Mapping[str, Any] = self.guard.cover(self.given)
        return covered


def _replace_texts(value: Any, text: str) -> Any:
    """Return a JSON value with another text in place of each, but for the names of fields."""
    if isinstance(value, str):
        return text
    if isinstance(value, Mapping):
        return {name: _replace_texts(one, text) for name, one in value.items()}
    is_list = isinstance(value, list | tuple)
    return [_replace_texts(one, text) for one in value] if is_list else value
