"""The tools of a conversation and their calls, as chat templates read them.

Source: OpenAI's function calling, whose `arguments` are a text with JSON; Hugging Face's templates
take the value itself, which is what this makes of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.chat.message import ASSISTANT
from mypt.data.prepare.chats.turns import CALLS, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOOLS, _OLD_TOOLS = "tools", "functions"
_CALL_FIX = 'write {"type": "function", "function": {"name": ..., "arguments": {...}}}'
_TOOL_FIX = 'write {"type": "function", "function": {"name": ..., "parameters": {...}}}'


def read_tools(fields: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the tools that a line offers; ShareGPT has them as a text with JSON.

    Raises:
        DataError: They are no list of tools.
    """
    if fields.get(_OLD_TOOLS):
        refuse(f"/{_OLD_TOOLS}", "is the earlier name of `tools`", f"write `tools`: {_TOOL_FIX}")
    pointer, tools = f"/{_TOOLS}", _parse(fields.get(_TOOLS))
    if tools in (None, [], ""):
        return ()
    if not isinstance(tools, list):
        refuse(pointer, "is no list of tools", _TOOL_FIX)
    return tuple(_read_function(one, f"{pointer}/{n}", _TOOL_FIX) for n, one in enumerate(tools))


def read_calls(
    message: Mapping[str, Any], role: str, pointer: str, *, of: str | None = None
) -> list[dict[str, Any]]:
    """Return the calls of a message, each with its arguments as a value.

    Args:
        message: The message.
        role: Who says it.
        pointer: JSON pointer to it.
        of: JSON pointer to the calls; by default to the field of the message.

    Raises:
        DataError: They are no calls, or not by the assistant.
    """
    calls, pointer = message.get(CALLS), f"{pointer}/{CALLS}" if of is None else of
    if not calls:
        return []
    if role != ASSISTANT:
        refuse(pointer, f"is of the {role}, but only the assistant calls tools")
    if not isinstance(calls, list):
        refuse(pointer, "is no list of calls", _CALL_FIX)
    read = []
    for number, one in enumerate(calls):
        call = _read_function(one, f"{pointer}/{number}", _CALL_FIX)
        function = call["function"]
        read.append({**call, "function": {**function, "arguments": _read_arguments(function)}})
    return read


def _read_function(value: Any, pointer: str, fix: str) -> dict[str, Any]:
    """Return a tool or a call, also one that is written without the wrapper of its kind."""
    if isinstance(value, dict) and "function" not in value and "name" in value:
        value = {"type": "function", "function": value}
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        refuse(pointer, "does not name a function", fix)
    made: dict[str, Any] = value
    return made


def _read_arguments(function: Mapping[str, Any]) -> Any:
    return _parse(function.get("arguments"))


def _parse(value: Any) -> Any:
    """Return what a text holds as JSON, and anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
