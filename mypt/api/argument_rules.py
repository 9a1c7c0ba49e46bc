"""Rules of arguments that several functions of the Python API take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mypt.chat.message import Message
from mypt.format.rules.arguments import Rule, instance_of, optional, sequence_of, where
from mypt.plugins.manager import Plugins


def _is_device(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    import torch  # only for what is no name: `get_model_info` starts without it

    return isinstance(value, torch.device)


DEVICE = where(_is_device, "a torch.device, or its name, such as cpu or cuda")


def _find_dtype(value: Any) -> Any:
    import torch  # as above

    known = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if isinstance(value, str):
        if value not in known:
            raise ValueError(value)
        return known[value]
    if value not in known.values():
        raise TypeError(value)
    return value


DTYPE = Rule("float32, bf16 or fp16, or a torch.dtype that is one of these", _find_dtype)
PLUGINS = optional(instance_of("what load_plugins returns", Plugins))


def _make_message(value: Any) -> Message:
    if isinstance(value, Message):
        return value
    if not isinstance(value, Mapping):
        raise TypeError
    fields = dict(value)
    said = {name: fields.pop(name, None) for name in ("role", "content")}
    if not all(isinstance(text, str) for text in said.values()):
        raise TypeError
    return Message(**said, weight=fields.pop("weight", None), fields=fields)


_SHOWN = 'messages, such as {"role": "user", "content": "Hello"}'
MESSAGES = sequence_of(Rule(_SHOWN, _make_message), f"a list of {_SHOWN}")
