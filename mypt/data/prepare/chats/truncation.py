"""Make conversations fit into a row by leaving out whole turns, never a part of an answer."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve, frozen

from mypt.chat.message import list_turns
from mypt.data.prepare.chats.rendering import RenderedChat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.data.prepare.chats.rendering import Renderer
    from mypt.data.prepare.chats.turns import Chat, Turn


@frozen(eq=False)
class FittedChat:
    """A conversation that fits into a row.

    Attributes:
        chat: What is left of it.
        rendered: Its tokens.
        turns_left_out: Number of turns that are not.
        is_cut: Whether the beginning of a text that nobody says is left out.
    """

    chat: Chat
    rendered: RenderedChat
    turns_left_out: int = 0
    is_cut: bool = False


def fit_chat(chat: Chat, renderer: Renderer, limit: int | None) -> FittedChat | None:
    """Return a conversation of at most so many tokens.

    What the system says stays, and the last turns, from a question on. Where the last question and
    its answer alone do not fit, those before them are taken. Of a prompt, and of a text without
    one, the beginning is left out.

    Args:
        chat: The conversation.
        renderer: Makes its tokens.
        limit: Number of tokens; None for any.

    Returns:
        What is left; None where no answer fits.

    Raises:
        DataError: It cannot be rendered.
    """
    chat = renderer.assign_roles(chat)
    rendered = renderer.render(chat)
    if limit is None or len(rendered) <= limit:
        return FittedChat(chat, rendered)
    if chat.is_raw:
        return _cut_text(chat, rendered, limit)
    system, exchanges = _split_exchanges(chat.turns)

    def keep(begin: int, end: int) -> FittedChat:
        turns = (*system, *(turn for part in exchanges[begin:end] for turn in part))
        kept = evolve(chat, turns=turns)
        return FittedChat(kept, renderer.render(kept), len(chat.turns) - len(turns))

    for end in range(len(exchanges), 0, -1):
        if not any(turn.is_learnt for turn in exchanges[end - 1]):
            continue
        if len(keep(end - 1, end).rendered) <= limit:
            begins = range(end)
            first = bisect_left(begins, True, key=lambda n: len(keep(n, end).rendered) <= limit)
            return keep(first, end)
    return None


def _split_exchanges(turns: Sequence[Turn]) -> tuple[Sequence[Turn], list[Sequence[Turn]]]:
    """Return what the system says at the beginning, and the rest from question to question."""
    begins = list_turns([turn.role for turn in turns])
    parts = [turns[begin:end] for begin, end in pairwise([*begins, len(turns)])]
    return turns[: begins[0]], [part for part in parts if part]


def _cut_text(chat: Chat, rendered: RenderedChat, limit: int) -> FittedChat | None:
    """Return the end of a text; None where not all of a completion would be left."""
    prompts = sum(rendered.sizes[:-1])
    surplus = len(rendered) - limit
    if len(chat.turns) > 1 and surplus >= prompts:
        return None
    begin = len(rendered) - sum(rendered.sizes) - 1  # after what every text begins with
    ids, weights = (
        np.concatenate([part[:begin], part[begin + surplus :]])
        for part in (rendered.ids, rendered.weights)
    )
    sizes = (rendered.sizes[0] - surplus, *rendered.sizes[1:])
    return FittedChat(chat, RenderedChat(ids, weights, sizes), is_cut=True)
