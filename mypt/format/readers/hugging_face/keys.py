"""Keys of Hugging Face's `config.json` that every model family has and that change no logits.

A family adds what it reads itself. Source: `PreTrainedConfig` of transformers 4 and 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.known_keys import UNKNOWN, KnownKeys

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

# Where mypt's exports have their own config.
OWN_CONFIG = "mypt"
_NAMES = frozenset(
    {
        # the model's name, its programs, and the tensors' type, which the tensors have themselves
        "model_type",
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
        "transformers_version",
        "unsloth_version",
        "unsloth_fixed",
        "is_llama_config",
        "transformers.js_config",
        "tokenizer_class",
        "dtype",
        "torch_dtype",
        # ids with a meaning for the tokenizer or for generation
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "sep_token_id",
        "cls_token_id",
        "decoder_start_token_id",
        "prefix",  # a text before each prompt
        # what a call returns, and how it is computed, with the same result
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "return_dict",
        "tie_last_hidden_states",
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_attn_implementation_internal",
        "_flash_attn_2_enabled",
        "pretraining_tp",
        "torchscript",
        "gradient_checkpointing",
        "use_bfloat16",
        "xla_device",
        # how training begins, and heads for other tasks, whose tensors would be refused
        "initializer_range",
        "id2label",
        "label2id",
        "num_labels",
        "_num_labels",
        "problem_type",
        "finetuning_task",
        "task_specific_params",
        "tf_legacy_loss",
    }
)
# Defaults of `generate`, which early releases kept here; they act on the logits of the model.
_GENERATION = frozenset(
    {
        "max_length",
        "min_length",
        "do_sample",
        "early_stopping",
        "num_beams",
        "num_beam_groups",
        "diversity_penalty",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
        "repetition_penalty",
        "length_penalty",
        "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size",
        "bad_words_ids",
        "num_return_sequences",
        "output_scores",
        "return_dict_in_generate",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "remove_invalid_values",
        "exponential_decay_length_penalty",
        "suppress_tokens",
        "begin_suppress_tokens",
    }
)
# Parts that a model of this kind has only where the value is another one.
_AT: dict[str, tuple[Any, ...]] = {
    "is_decoder": (False, True),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "tie_encoder_decoder": (False,),
    "chunk_size_feed_forward": (0,),
    "pruned_heads": ({},),
    "per_layer_config": (None,),
    "sliding_window": (None,),
    "use_sliding_window": (False,),
    "quantization_config": (None,),
}


def add_common_keys(
    read: Iterable[str], ignored: Iterable[str] = (), **ignored_at: tuple[Any, ...]
) -> KnownKeys:
    """Return the keys of a family, with those that every family has.

    Args:
        read: What the family reads.
        ignored: What changes no logits of this family.
        ignored_at: What changes none at these values.
    """
    own = {"architectures", "auto_map", "vocab_size", "tie_word_embeddings", OWN_CONFIG}
    known = frozenset({*own, *read})
    return KnownKeys(
        read=known,
        ignored=_NAMES | _GENERATION | frozenset(ignored),
        ignored_at={key: at for key, at in {**_AT, **ignored_at}.items() if key not in known},
    )


def check_class(
    hf_config: Mapping[str, Any], classes: Iterable[str], ported: Container[str], file: str
) -> None:
    """Raise if another program's class wrote the folder, or code that comes with it must run.

    Args:
        hf_config: The config as it is written.
        classes: transformers' own classes for such a model.
        ported: Modules of code that those classes have taken over.
        file: Name of its file, for messages.

    Raises:
        FormatError: The class is not one of transformers' own for such a model.
    """
    if not _is_ported(hf_config.get("auto_map"), ported):
        what = "names code of its own for the model, which mypt does not run"
        fix = "use the model with its code, or install a plugin that reads it"
        raise FormatError(Problem(file, "/auto_map", what, fix, kind=UNKNOWN))
    held = hf_config.get("architectures") or ()
    others = {*(held if isinstance(held, list) else (held,))} - {*classes} if held else set()
    if others:
        what = f"is {', '.join(sorted(map(str, others)))}; mypt reads {' and '.join(classes)}"
        fix = "use the program that wrote it, or install a plugin that reads it"
        raise FormatError(Problem(file, "/architectures", what, fix, kind=UNKNOWN))


def _is_ported(auto_map: Any, ported: Container[str]) -> bool:
    """Return whether a folder comes with no code, or with none but what was taken over."""
    named = auto_map.values() if isinstance(auto_map, dict) else [auto_map] if auto_map else ()
    return all(str(name).partition(".")[0] in ported for name in named)
