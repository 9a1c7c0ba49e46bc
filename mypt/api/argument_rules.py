"""Rules of arguments that several functions of the Python API take."""

from __future__ import annotations

from typing import Any

from mypt.format.rules.arguments import Rule, instance_of, optional, where
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
