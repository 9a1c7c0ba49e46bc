"""Conversations in tokens: by a chat template, or as the texts that they are."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, frozen

from mypt.chat.message import ASSISTANT, SYSTEM, USER
from mypt.chat.own_words import lacks_words
from mypt.chat.special_text import OrdinaryEncoder
from mypt.data.prepare.chats.turns import CORRECT_LINE, SAID, Chat, refuse
from mypt.format.errors import DataError, MyptError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mypt.chat.template import ChatTemplate, EncodedChat
    from mypt.data.prepare.chats.turns import Turn

# Roles that every template renders, or refuses.
_USUAL_ROLES = (SYSTEM, USER, ASSISTANT)


@frozen(eq=False)
class RenderedChat:
    """A conversation in tokens.

    Attributes:
        ids: (N,) uint32.
        weights: How much the loss counts each id as a target, (N,) float32.
        sizes: How many ids each turn has; what stands between turns belongs to none.
    """

    ids: NDArray[np.uint32]
    weights: NDArray[np.float32]
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of ids."""
        return len(self.ids)


@frozen(eq=False)
class Renderer:
    """What makes the tokens of conversations.

    Attributes:
        template: Renders what somebody says.
        end_id: Ends a text that nobody says, so that a model learns to stop there.
        begin_ids: What such a text begins with.
        as_turns: Whether a prompt and its completion are what a user and the assistant say.
    """

    template: ChatTemplate
    end_id: int
    begin_ids: tuple[int, ...] = ()
    as_turns: bool = False

    def render(self, chat: Chat) -> RenderedChat:
        """Return the tokens of a conversation.

        Raises:
            ConfigError: The vocabulary lacks what the template writes itself.
            DataError: The template refuses it or leaves something out, or the vocabulary lacks a
                character. The problem's `where` is the JSON pointer.
        """
        chat = self.assign_roles(chat)
        if chat.is_raw:
            return self._render_text(chat)
        encoded = self._encode(chat)
        for pointer, without in _list_reductions(chat):
            if self._encode(without).text == encoded.text:
                what = "is left out by the chat template, so that it would not be learnt"
                refuse(pointer, what, "choose another template with --chat_template, or remove it")
        ids, weights = np.array(encoded.ids, np.uint32), np.array(encoded.weights, np.float32)
        self._check_ends(ids, weights)
        return RenderedChat(ids, weights, tuple(end - begin for begin, end in encoded.turns))

    def assign_roles(self, chat: Chat) -> Chat:
        """Return a conversation as it is rendered, where a completion may be an answer."""
        if not (self.as_turns and chat.is_raw and len(chat.turns) > 1):
            return chat
        prompt, completion = chat.turns
        asked = evolve(prompt, role=USER, weight=None)
        return evolve(chat, turns=(asked, evolve(completion, role=ASSISTANT)))

    def _render_text(self, chat: Chat) -> RenderedChat:
        """Return the tokens of texts that nobody says, with what ends them."""
        parts = [self._encode_text(turn) for turn in chat.turns]
        sizes = [*map(len, parts)]
        first, last = len(self.begin_ids), chat.turns[-1].learnt_weight
        weights = [turn.learnt_weight for turn in chat.turns]
        return RenderedChat(
            np.concatenate([np.array(self.begin_ids, np.uint32), *parts, [self.end_id]]).astype(
                np.uint32
            ),
            np.repeat([0.0, *weights, last], [first, *sizes, 1]).astype(np.float32),
            tuple(sizes),
        )

    def _check_ends(self, ids: NDArray[np.uint32], weights: NDArray[np.float32]) -> None:
        """Raise unless what is learnt ends with what ends a turn.

        Raises:
            DataError: A model would not learn to stop.
        """
        is_last = (weights > 0) & (np.append(weights[1:], 0) == 0)
        if not np.isin(ids[is_last], self.template.stops).all():
            what = "has an answer after which the chat template writes no token that ends a turn"
            fix = "write one after each in the template, which has the role turn_end or eos"
            refuse("", what, fix)

    def _encode_text(self, turn: Turn) -> NDArray[np.uint32]:
        try:
            return self._encoder.encode(turn.text)
        except DataError as error:
            refuse(turn.pointer, error.problems[0].what, CORRECT_LINE)

    def _encode(self, chat: Chat) -> EncodedChat:
        variables: dict[str, Any] = {"tools": [*chat.tools]} if chat.tools else {}
        messages = [turn.message for turn in chat.turns]
        try:
            return self.template.encode(messages, variables=variables)
        except MyptError as error:  # by the template's own words, which are of this conversation
            if lacks_words(error):
                raise
            problem = error.problems[0]
            refuse("", problem.what, problem.fix)

    @cached_property
    def _encoder(self) -> OrdinaryEncoder:
        return OrdinaryEncoder.of(self.template.tokenizer)


def _list_reductions(chat: Chat) -> Iterator[tuple[str, Chat]]:
    """Yield the conversation without each of the things that not every template renders.

    Yields:
        JSON pointer to what is left out, and the conversation without it.
    """
    if chat.tools:
        yield "/tools", evolve(chat, tools=())
    for number, turn in enumerate(chat.turns):
        before, after = chat.turns[:number], chat.turns[number + 1 :]
        for name in SAID:
            if turn.extra.get(name):
                extra = {k: v for k, v in turn.extra.items() if k != name}
                without = (*before, evolve(turn, extra=extra), *after)
                yield f"{turn.pointer.rpartition('/')[0]}/{name}", evolve(chat, turns=without)
        if turn.role not in _USUAL_ROLES and turn.text:
            yield turn.pointer, evolve(chat, turns=(*before, evolve(turn, text=""), *after))
