"""What a template writes for a conversation, with the special tokens as one character each."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.chat.sandbox.budget import Budget
from mypt.chat.sandbox.counter import BUDGET
from mypt.chat.sandbox.render import BEGIN, END, PLACE, render
from mypt.format.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypt.chat.guard import Guard


@frozen(eq=False)
class Rendering:
    """A conversation, and the template that renders it.

    Attributes:
        source: The template.
        guard: Keeps the messages apart from special tokens.
        messages: The messages, as the template reads them.
        given: Further variables of the caller, such as `tools`, which are guarded as messages are.
        variables: Those of the vocabulary, such as `bos_token`.
    """

    source: str
    guard: Guard
    messages: Sequence[Mapping[str, Any]]
    given: Mapping[str, Any]
    variables: Mapping[str, str]

    def text(self, count: int | None = None, *, add_generation_prompt: bool = False) -> str:
        """Return what the template writes for the first messages, or for all.

        Special tokens are one character each, and answers stand between the marks of the guard.

        Raises:
            ConfigError: The template fails.
            DataError: It refuses the conversation.
        """
        messages = self._covered_messages[:count]
        text = self._render(messages, self._covered_given, add_generation_prompt)
        return self.guard.uncover(self.guard.collapse(text))

    def check(self, *, add_generation_prompt: bool) -> None:
        """Raise if a template looks into what messages say, where the guard hides something.

        Raises:
            DataError: It does, so that it is not known what it would have written.
        """
        if self._covered_messages == [*self.messages] and self._covered_given == self.given:
            return
        covered = self._render(self._covered_messages, self._covered_given, add_generation_prompt)
        if self.guard.uncover(covered) != self._render(
            self.messages, self.given, add_generation_prompt
        ):
            what = "looks for the name of a special token in what a message says, which has it"
            fix = "take the names of special tokens out of the message"
            raise DataError(Problem(*PLACE, what, fix, kind="chat.special"))

    def _render(
        self,
        messages: Sequence[Mapping[str, Any]],
        given: Mapping[str, Any],
        add_generation_prompt: bool,
    ) -> str:
        variables = {
            "tools": None,
            "documents": None,
            **self.variables,
            **given,
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            BEGIN: self.guard.begin,
            END: self.guard.end,
            BUDGET: Budget([messages, given]),
        }
        return render(self.source, variables)

    @cached_property
    def _covered_messages(self) -> list[dict[str, Any]]:
        return [self.guard.cover_message(message) for message in self.messages]

    @cached_property
    def _covered_given(self) -> Mapping[str, Any]:
        covered: Mapping[str, Any] = self.guard.cover(self.given)
        return covered
