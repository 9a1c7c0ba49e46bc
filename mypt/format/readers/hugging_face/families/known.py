"""The table of the model families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.readers.hugging_face.families.gpt2 import GPT2
from mypt.format.readers.hugging_face.families.llama_like.llama import LLAMA
from mypt.format.readers.hugging_face.families.llama_like.mistral import MISTRAL
from mypt.format.readers.hugging_face.families.llama_like.qwen import QWEN2, QWEN3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.hugging_face.families.family import Family

# In the order in which they are tried for a model that is written.
FAMILIES: Mapping[str, Family] = {
    family.model_type: family for family in (GPT2, LLAMA, MISTRAL, QWEN2, QWEN3)
}
