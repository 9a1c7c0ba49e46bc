"""The table of the model families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.readers.hugging_face.families.gpt2 import GPT2
from mypt.format.readers.hugging_face.families.llama_like.gemma import GEMMA, GEMMA2, GEMMA3
from mypt.format.readers.hugging_face.families.llama_like.granite import GRANITE
from mypt.format.readers.hugging_face.families.llama_like.llama import LLAMA
from mypt.format.readers.hugging_face.families.llama_like.mistral import MISTRAL
from mypt.format.readers.hugging_face.families.llama_like.olmo import OLMO, OLMO2
from mypt.format.readers.hugging_face.families.llama_like.phi3 import PHI3
from mypt.format.readers.hugging_face.families.llama_like.qwen import QWEN2, QWEN3
from mypt.format.readers.hugging_face.families.llama_like.smollm3 import SMOLLM3
from mypt.format.readers.hugging_face.families.llama_like.stablelm import STABLELM
from mypt.format.readers.hugging_face.families.llama_like.starcoder2 import STARCODER2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.readers.hugging_face.families.family import Family

_LLAMA_LIKE = (
    *(LLAMA, MISTRAL, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3, OLMO2, OLMO, SMOLLM3),
    *(STABLELM, STARCODER2, PHI3, GRANITE),
)
# In the order in which they are tried for a model that is written.
FAMILIES: Mapping[str, Family] = {family.model_type: family for family in (GPT2, *_LLAMA_LIKE)}
