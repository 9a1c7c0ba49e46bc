"""Families of `transformers` that mypt does not read, with the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.readers.shared.fields import make_unsupported_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypt.format.errors import FormatError

# What mypt's config lacks, and the families that need it.
_REASONS: Mapping[str, tuple[str, ...]] = {
    "a mixture of experts, of which each token uses some": (
        *("afmoe", "axk1", "axk2", "cohere2_moe", "dbrx", "deepseek_v2", "deepseek_v3"),
        *("deepseek_v32", "deepseek_v4", "dots1", "ernie4_5_moe", "exaone_moe", "flex_olmo"),
        *("glm4_moe", "glm4_moe_lite", "glm_moe_dsa", "gpt_oss", "granitemoe", "granitemoe_swa"),
        *("granitemoeshared", "hunyuan_v1_moe", "jetmoe", "llama4", "llama4_text", "longcat_flash"),
        *("mimo_v2_flash", "minimax", "minimax_m2", "mixtral", "nllb-moe", "olmoe", "phimoe"),
        *("qwen2_moe", "qwen3_moe", "solar_open", "switch_transformers"),
    ),
    "a recurrent model, some or all of whose layers have no attention": (
        *("bamba", "falcon_h1", "falcon_mamba", "granitemoehybrid", "jamba", "kimi_linear", "lfm2"),
        *("lfm2_moe", "mamba", "mamba2", "nemotron_h", "olmo_hybrid", "qwen3_5", "qwen3_5_moe"),
        *("qwen3_5_moe_text", "qwen3_5_text", "qwen3_next", "recurrent_gemma", "rwkv", "xlstm"),
        *("zamba", "zamba2"),
    ),
    "an encoder, whose positions also see what follows them": (
        *("albert", "bert", "big_bird", "camembert", "data2vec-text", "deberta", "deberta-v2"),
        *("distilbert", "electra", "ernie", "esm", "eurobert", "flaubert", "fnet", "funnel"),
        *("ibert", "layoutlm", "longformer", "megatron-bert", "mobilebert", "modernbert", "mpnet"),
        *("nomic_bert", "nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert"),
        *("roformer", "squeezebert", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod"),
    ),
    "an encoder with a decoder": (
        *("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "encoder-decoder", "fsmt"),
        *("led", "longt5", "m2m_100", "marian", "mbart", "mt5", "mvp", "pegasus", "pegasus_x"),
        *("plbart", "prophetnet", "t5", "t5gemma", "t5gemma2", "udop", "umt5"),
    ),
    "a model of images, sound or video": (
        *("align", "aya_vision", "beit", "blip", "blip-2", "chameleon", "clip", "clipseg"),
        *("convnext", "deit", "dinov2", "florence2", "fuyu", "gemma3n", "git", "glm4v", "hubert"),
        *("idefics", "idefics2", "idefics3", "imagegpt", "instructblip", "internvl", "janus"),
        *("kosmos-2", "llava", "llava_next", "llava_onevision", "mistral3", "mllama", "musicgen"),
        *("paligemma", "phi4_multimodal", "pixtral", "qwen2_5_omni", "qwen2_5_vl", "qwen2_audio"),
        *(
            "qwen2_vl",
            "qwen3_vl",
            "qwen3_vl_moe",
            "resnet",
            "siglip",
            "smolvlm",
            "speecht5",
            "swin",
        ),
        *("video_llava", "vipllava", "vision-encoder-decoder", "vit", "voxtral", "wav2vec2"),
        *("whisper",),
    ),
}
REASON_OF = {name: why for why, names in _REASONS.items() for name in names}


def make_refusal(model_type: str, known: Iterable[str], file: str) -> FormatError:
    """Return the error for a family that mypt does not read.

    Args:
        model_type: Its name in `config.json`.
        known: The families that mypt reads.
        file: Name of the file, for messages.
    """
    why = f", {REASON_OF[model_type]}" if model_type in REASON_OF else ""
    what = f"is {model_type}{why}; mypt reads {', '.join(sorted(known))}"
    return make_unsupported_error(file, "/model_type", what, "install a plugin that reads it")
