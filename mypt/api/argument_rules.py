"""Rules of arguments that several functions of the Python API take."""

from __future__ import annotations

from typing import Any

from mypt.format.rules.arguments import instance_of, optional, where
from mypt.plugins.manager import Plugins


def _is_device(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    import torch  # only for what is no name: `get_model_info` starts without it

    return isinstance(value, torch.device)


DEVICE = where(_is_device, "a torch.device, or its name, such as cpu or cuda")
PLUGINS = optional(instance_of("what load_plugins returns", Plugins))
