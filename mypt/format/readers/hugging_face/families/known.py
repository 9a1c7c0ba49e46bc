"""The table of the model families."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.readers.hugging_face.families.gpt_like.bloom import BLOOM
from mypt.format.readers.hugging_face.families.gpt_like.falcon import FALCON
from mypt.format.readers.hugging_face.families.gpt_like.gpt2 import GPT2
from mypt.format.readers.hugging_face.families.gpt_like.gpt_neo import GPT_NEO
from mypt.format.readers.hugging_face.families.gpt_like.gpt_neox import GPT_NEOX
from mypt.format.readers.hugging_face.families.gpt_like.gptj import GPTJ
from mypt.format.readers.hugging_face.families.gpt_like.opt import OPT
from mypt.format.readers.hugging_face.families.gpt_like.phi import PHI
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
_GPT_LIKE = (GPT2, GPT_NEOX, PHI, GPT_NEO, OPT, GPTJ, FALCON, BLOOM)
FAMILIES: Mapping[str, Family] = {
    family.model_type: family for family in (*_GPT_LIKE, *_LLAMA_LIKE)
}
