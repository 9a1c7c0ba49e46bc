"""How rotary positions reach beyond the length that a model was trained with."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, fields_dict, frozen

from mypt.format.calls.signatures import INTERNAL_FIELDS


@frozen(kw_only=True)
class RopeScaling:
    """A change of the rotary frequencies: `rope_scaling` of a config.

    Attributes:
        kind: The rule. `dynamic` (NTK): a larger base for a text that is longer than
            original_block_size. `llama3`: low frequencies are divided by the factor. `yarn`: the
            same, with other bounds, and what is rotated is scaled.
        factor: How many times longer a text may be.
        original_block_size: Length that the model was trained with before.
        extra: Fields unknown to this version; written back as they were read.

    Source of dynamic: "bloc97" 2023 and "emozilla" 2023 (NTK-aware scaling); of llama3: the code
    released with Llama 3.1; of yarn: Peng et al. 2023, sections 3.2 to 3.4.
    """

    kind: Literal["dynamic", "llama3", "yarn"]
    factor: float
    original_block_size: int
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True
    extra: Mapping[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        """Return it in a few words, such as `yarn by 4`."""
        return f"{self.kind} by {self.factor:g}"


# The fields that only one kind uses.
OWN = {
    "low_freq_factor": "llama3",
    "high_freq_factor": "llama3",
    "beta_fast": "yarn",
    "beta_slow": "yarn",
    "attention_factor": "yarn",
    "truncate": "yarn",
}


def make_rope_scaling(value: Any) -> Any:
    """Return a mapping as a `RopeScaling`, and anything else as it is.

    A mapping without a required field stays one, and fails the check of the whole config.
    """
    if not isinstance(value, Mapping) or not {"kind", "factor", "original_block_size"} <= set(
        value
    ):
        return value
    known = fields_dict(RopeScaling).keys() - INTERNAL_FIELDS
    members = {name: member for name, member in value.items() if name in known}
    extra = {name: member for name, member in value.items() if name not in known}
    return RopeScaling(**members, extra=extra)
