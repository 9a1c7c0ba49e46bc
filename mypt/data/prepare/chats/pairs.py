"""Pairs of answers, of which one is preferred, as lines of JSON hold them.

| form | fields |
|---|---|
| messages | `chosen` and `rejected`, lists of messages; an optional `prompt` before both |
| text | `prompt`, `chosen`, `rejected`, which are texts |

Messages and texts are those of `forms.py`. What follows the prompt is compared, or what follows
the messages that both begin with. A prompt that is a text is the user's before messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.chat.message import ASSISTANT, USER
from mypt.data.prepare.chats.forms import read_chat
from mypt.data.prepare.chats.turns import Chat, refuse
from mypt.format.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPT, CHOSEN, REJECTED = "prompt", "chosen", "rejected"


@frozen
class Pair:
    """Two answers to the same prompt.

    Attributes:
        chosen: The conversation with the preferred answer, which alone has a weight.
        rejected: The same with the other one.
    """

    chosen: Chat
    rejected: Chat


def read_pair(fields: Mapping[str, Any]) -> Pair:
    """Return the pair of a line.

    Raises:
        DataError: It has none, or both answers are the same; see also `read_chat`. The problem's
            `where` is the JSON pointer.
    """
    for name in (CHOSEN, REJECTED):
        if name not in fields:
            refuse(f"/{name}", "is missing", "write the preferred answer and the other one")
    if fields[CHOSEN] == fields[REJECTED]:
        refuse(f"/{REJECTED}", "is the chosen answer, so there is nothing to learn")
    return Pair(_read_answer(fields, CHOSEN), _read_answer(fields, REJECTED))


def _read_answer(fields: Mapping[str, Any], name: str) -> Chat:
    """Return the conversation with one of the answers, of which only that has a weight."""
    others = {k: v for k, v in fields.items() if k not in (PROMPT, CHOSEN, REJECTED)}
    answer, prompt = fields[name], fields.get(PROMPT)
    if isinstance(answer, str):
        if not isinstance(prompt, list):
            if prompt is None:
                refuse(f"/{PROMPT}", "is missing", "write what both texts answer")
            given = {**others, PROMPT: prompt, "completion": answer}
            return _read(given, {"completion": f"/{name}"})
        answer = [{"role": ASSISTANT, "content": answer}]
    if not isinstance(answer, list) or not answer:
        refuse(f"/{name}", "is neither a text nor a list of messages")
    before: Any = prompt
    if prompt is None:
        shared = _count_shared(fields[CHOSEN], fields[REJECTED])
        before, answer = answer[:shared], answer[shared:]
    elif isinstance(prompt, str):
        before = [{"role": USER, "content": prompt}]
    if not isinstance(before, list):
        refuse(f"/{PROMPT}", "is neither a text nor a list of messages")
    pointers = {f"messages/{n}": f"/{PROMPT}/{n}" for n in range(len(before))}
    pointers |= {f"messages/{len(before) + n}": f"/{name}/{n}" for n in range(len(answer))}
    pointers["messages"] = f"/{name}"
    chat = _read({**others, "messages": [*before, *answer]}, pointers)
    first = len(chat.turns) - len(answer)
    asked = tuple(evolve(turn, weight=0.0) for turn in chat.turns[:first])
    answered = chat.turns[first:]
    if not any(turn.is_learnt for turn in answered):
        refuse(f"/{name}", "has no message by the assistant with a weight above 0")
    return evolve(chat, turns=(*asked, *answered))


def _read(fields: Mapping[str, Any], pointers: Mapping[str, str]) -> Chat:
    """Read a conversation; what is wrong with it is told of by the pointers into the line."""
    try:
        return read_chat(fields)
    except DataError as error:
        problem = error.problems[0]
        where = problem.where.removeprefix("/")
        for ours, theirs in pointers.items():
            if where == ours or where.startswith(f"{ours}/"):
                raise DataError(evolve(problem, where=theirs + where[len(ours) :])) from error
        raise


def _count_shared(chosen: Any, rejected: Any) -> int:
    """Return how many first messages two conversations share, at most all but the last."""
    if not (isinstance(chosen, list) and isinstance(rejected, list)):
        return 0
    most = min(len(chosen), len(rejected)) - 1
    differing = (n for n in range(most) if chosen[n] != rejected[n])
    return max(0, next(differing, most))
