"""The forms that a conversation may have in its line, each read as a list of turns.

| form | fields |
|---|---|
| OpenAI | `messages` of `role` and `content`, with an optional `weight`; an optional `tools` |
| ShareGPT | `conversations` of `from` and `value`; an optional `tools` |
| Alpaca | `instruction`, an optional `input`, `output` |
| completion | `prompt`, `completion` |
| text | `text` |

What a form can say and no template can render, such as an image, is refused: a model would learn
something else than the line says. Whether a template renders the call of a tool is its own matter;
see `rendering.py`.

Source: OpenAI, "Supervised fine-tuning", for `weight` and tools; Vicuna's `conversations` for
ShareGPT, and LLaMA-Factory's `function_call` and `observation` in them; Taori et al. 2023,
"Stanford Alpaca", for the fields of Alpaca. Its prompt template is not used: an instruction is a
user's message like any other, so that all forms have one rendering.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.chat.message import ASSISTANT, SYSTEM, TOOL, USER
from mypt.data.prepare.chats.tools import read_calls, read_tools
from mypt.data.prepare.chats.turns import CALLS, ROLES, Chat, Turn, check_turns, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

_CALL = "function_call"
_SHARE_GPT_ROLES = {"human": USER, "gpt": ASSISTANT, _CALL: ASSISTANT, "observation": TOOL}
_SHOWN_CHARACTERS = 20
# Fields that are part of what is said or shown, which no template reads.
_UNRENDERED = {_CALL: "write it as `tool_calls`", "audio": "remove the line"}
# Other programs' names for the weight of a message.
_OTHER_WEIGHTS = ("loss", "train", "training", "train_detail")
_TEXT_FIX = 'write a string, or a list of parts like {"type": "text", "text": "..."}'


def read_chat(fields: Mapping[str, Any]) -> Chat:
    """Return the conversation of a line, whatever its form.

    Raises:
        DataError: It has none of the forms or several, says what cannot be rendered, or leaves
            nothing to learn. The problem's `where` is the JSON pointer.
    """
    names = [name for name in _FORMS if name in fields]
    if not names:
        what = "needs `messages`, `conversations`, `instruction` and `output`, `prompt` and "
        refuse("", f"{what}`completion`, or `text`")
    if len(names) > 1:
        shown = " and ".join(f"`{name}`" for name in names)
        refuse("", f"has {shown}, which are different forms", "keep one of them")
    turns = _FORMS[names[0]](fields)
    check_turns(turns, "" if names[0] == "instruction" else f"/{names[0]}")
    return Chat(turns=turns, tools=() if turns[0].role is None else read_tools(fields))


def _read_messages(fields: Mapping[str, Any]) -> tuple[Turn, ...]:
    name = "messages" if "messages" in fields else "conversations"
    messages = fields[name]
    if not isinstance(messages, list) or not messages:
        refuse(f"/{name}", "is not a list of messages")
    turns = [_read_message(message, f"/{name}/{n}") for n, message in enumerate(messages)]
    system = _read_system(fields)
    if system and turns[0].role == SYSTEM:
        refuse("/system", "is a second system message beside the first of the list", "keep one")
    return (*system, *turns)


def _read_alpaca(fields: Mapping[str, Any]) -> tuple[Turn, ...]:
    if fields.get("history"):
        refuse("/history", "holds earlier turns", "write them all as `messages`")
    asked, more = _read_field(fields, "instruction"), fields.get("input")
    if more is not None and (more := _read_text(more, "/input")):
        asked = f"{asked}\n\n{more}"
    return (
        *_read_system(fields),
        Turn(role=USER, text=asked, pointer="/instruction"),
        Turn(
            role=ASSISTANT,
            text=_read_field(fields, "output"),
            pointer="/output",
            weight=_read_weight(fields, ASSISTANT, ""),
        ),
    )


def _read_completion(fields: Mapping[str, Any]) -> tuple[Turn, ...]:
    weight = _read_weight(fields, None, "")
    return tuple(
        Turn(role=None, text=_read_field(fields, name), pointer=f"/{name}", weight=counts)
        for name, counts in (("prompt", 0.0), ("completion", weight))
    )


def _read_plain(fields: Mapping[str, Any]) -> tuple[Turn, ...]:
    text, weight = _read_field(fields, "text"), _read_weight(fields, None, "")
    return (Turn(role=None, text=text, pointer="/text", weight=weight),)


_FORMS = {
    "messages": _read_messages,
    "conversations": _read_messages,
    "instruction": _read_alpaca,
    "prompt": _read_completion,
    "text": _read_plain,
}


def _read_system(fields: Mapping[str, Any]) -> tuple[Turn, ...]:
    """Return the system message that stands beside the others, where there is one."""
    system = fields.get("system")
    if system is None or not (text := _read_text(system, "/system")):
        return ()
    return (Turn(role=SYSTEM, text=text, pointer="/system"),)


def _read_message(message: Any, pointer: str) -> Turn:
    if not isinstance(message, dict):
        refuse(pointer, "is not a message", 'write {"role": ..., "content": ...}')
    for name, fix in _UNRENDERED.items():
        if message.get(name):
            refuse(f"{pointer}/{name}", "is what no chat template reads", fix)
    is_share_gpt = "role" not in message and "from" in message
    names = ("from", "value") if is_share_gpt else ("role", "content")
    role = _read_role(message, names[0], pointer)
    extra = {name: value for name, value in message.items() if name not in names}
    calls = read_calls(message, role, pointer)
    if is_share_gpt and message["from"] == _CALL:
        text, calls = "", _parse_call(_read_field(message, "value", pointer), f"{pointer}/value")
    elif calls and message.get(names[1]) is None:
        text = ""
    else:
        text = _read_field(message, names[1], pointer)
    return Turn(
        role=role,
        text=text,
        pointer=f"{pointer}/{names[1]}",
        weight=_read_weight(message, role, pointer),
        extra={**extra, CALLS: calls} if calls else extra,
    )


def _parse_call(text: str, pointer: str) -> list[Any]:
    """Return the calls that ShareGPT has as JSON, of one function or of several."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    calls = parsed if isinstance(parsed, list) else [parsed]
    return read_calls({CALLS: calls}, ASSISTANT, pointer, of=pointer)


def _read_role(message: Mapping[str, Any], name: str, pointer: str) -> str:
    role = message.get(name)
    known = _SHARE_GPT_ROLES.get(role, role) if isinstance(role, str) else None
    if known not in ROLES:
        shown = repr(str(role)[:_SHOWN_CHARACTERS]) if name in message else "missing"
        what = f"is {shown}, which is none of {', '.join(ROLES)}"
        refuse(f"{pointer}/{name}", what, "say who of them says it, or remove the line")
    return known


def _read_weight(message: Mapping[str, Any], role: str | None, pointer: str) -> float | None:
    """Return how much the loss counts a message; None where it does not say."""
    for name in _OTHER_WEIGHTS:
        if message.get(name) is not None:
            what = "is how another program weights a message"
            refuse(f"{pointer}/{name}", what, 'write "weight" with a number from 0 to 1 instead')
    weight, pointer = message.get("weight"), f"{pointer}/weight"
    if weight is None:
        return None
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not is_number or not 0 <= weight <= 1:
        refuse(pointer, f"is {str(weight)[:_SHOWN_CHARACTERS]}", "make it a number from 0 to 1")
    if weight > 0 and role not in (None, ASSISTANT):
        refuse(pointer, f"is {weight}, but only what the assistant says is learnt", "remove it")
    return float(weight)


def _read_field(fields: Mapping[str, Any], name: str, pointer: str = "") -> str:
    if name not in fields:
        refuse(f"{pointer}/{name}", "is missing", _TEXT_FIX)
    return _read_text(fields[name], f"{pointer}/{name}")


def _read_text(value: Any, pointer: str) -> str:
    """Return a text that is a string, or a list of text parts that follow each other directly."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        refuse(pointer, "is null" if value is None else "is not a text", _TEXT_FIX)
    return "".join(_read_part(part, f"{pointer}/{n}") for n, part in enumerate(value))


def _read_part(part: Any, pointer: str) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind != "text" or not isinstance(part.get("text"), str):
        shown = f"of type {str(kind)[:_SHOWN_CHARACTERS]!r}, " if isinstance(kind, str) else ""
        refuse(pointer, f"is a part {shown}that is not text", f"{_TEXT_FIX}, or remove the line")
    text: str = part["text"]
    return text
