"""The files of an adapter of peft, and the names of its tensors."""

from __future__ import annotations

import re

from mypt.format.readers.unread.programs import ADAPTER_CONFIG as CONFIG

WEIGHTS = "adapter_model.safetensors"
OTHER_WEIGHTS = "adapter_model.bin"
__all__ = ["CONFIG", "OTHER_WEIGHTS", "WEIGHTS", "name_tensor", "parse_tensor"]

_PREFIX = "base_model.model."
_NAME = re.compile(rf"(?:{re.escape(_PREFIX)})?(.+)\.(lora_[AB])(?:\.default)?\.weight")


def name_tensor(module: str, kind: str) -> str:
    """Return the name of a tensor there.

    Args:
        module: The module that is adapted.
        kind: `lora_A` or `lora_B`.
    """
    return f"{_PREFIX}{module}.{kind}.weight"


def parse_tensor(name: str) -> tuple[str, str] | None:
    """Return the module and the kind of a tensor; None if it is not one of a linear layer."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1], found[2])
