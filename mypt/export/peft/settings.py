"""The `adapter_config.json` of peft: what mypt's adapters can be of it, and what is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.readers.shared.fields import make_unsupported_error, require_number
from mypt.format.readers.shared.known_keys import KnownKeys, check_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

# How the first values were chosen without a change of the base's own weights.
_INITS = (True, False, "gaussian", "eva", "orthogonal")
_KEYS = KnownKeys(
    read=frozenset(
        {
            *("peft_type", "r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern"),
            "base_model_name_or_path",
        }
    ),
    # which modules have adapters, the tensors say; the rest is about training and about peft itself
    ignored=frozenset(
        {
            *("auto_mapping", "revision", "task_type", "inference_mode", "peft_version"),
            *("target_modules", "exclude_modules", "fan_in_fan_out", "megatron_core"),
            *("qalora_group_size", "ensure_weight_tying", "runtime_config", "layers_pattern"),
        }
    ),
    ignored_at={
        "bias": ("none",),
        "lora_bias": (False,),
        "use_dora": (False,),
        "use_rslora": (False,),
        "use_qalora": (False,),
        "use_bdlora": (None, False),
        "init_lora_weights": _INITS,
        "loftq_config": ({}, None),
        "modules_to_save": (None, []),
        **dict.fromkeys(("layers_to_transform", "layer_replication"), (None,)),
        **dict.fromkeys(("target_parameters", "trainable_token_indices"), (None, [])),
        **dict.fromkeys(("alora_invocation_tokens", "arrow_config", "corda_config"), (None,)),
        **dict.fromkeys(("eva_config", "kasa_config", "lora_ga_config"), (None,)),
        **dict.fromkeys(("megatron_config", "monteclora_config", "velora_config"), (None,)),
    },
)


@frozen(kw_only=True)
class PeftSettings:
    """What an adapter of peft is.

    Attributes:
        rank: Rank of a module that has none of its own.
        alpha: Its alpha.
        dropout: Probability that an input becomes zero in training.
        ranks: Ranks of some modules, by a pattern for the end of their names.
        alphas: The same of alpha.
        base: What the base is found by there; None if it is not said.
    """

    rank: int
    alpha: float
    dropout: float
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    base: str | None

    def scale_of(self, module: str) -> float:
        """Return the factor on what is added to a module."""
        alpha = _find(self.alphas, module, self.alpha)
        return alpha / _find(self.ranks, module, self.rank)

    def rank_of(self, module: str) -> int:
        """Return the rank of a module."""
        return int(_find(self.ranks, module, self.rank))


def read_settings(document: Mapping[str, Any], file: str) -> PeftSettings:
    """Return what an `adapter_config.json` says.

    Raises:
        FormatError: It is of another kind of adapter, or has a key that mypt does not know.
    """
    if document.get("peft_type") != "LORA":
        what = f"is {document.get('peft_type')!r:.40}, and mypt reads LORA alone"
        fix = "merge it with peft's merge_and_unload(), and save the whole with save_pretrained"
        raise make_unsupported_error(file, "/peft_type", what, fix)
    check_keys(document, _KEYS, file)
    base = document.get("base_model_name_or_path")
    return PeftSettings(
        rank=int(require_number({"r": 8, **document}, "r", file)),
        alpha=require_number({"lora_alpha": 8, **document}, "lora_alpha", file),
        dropout=require_number({"lora_dropout": 0.0, **document}, "lora_dropout", file),
        ranks=document.get("rank_pattern") or {},
        alphas=document.get("alpha_pattern") or {},
        base=base if isinstance(base, str) and base else None,
    )


def _find(patterns: Mapping[str, float], module: str, default: float) -> float:
    """Return the value of the first pattern that fits the end of a name, as peft does."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
