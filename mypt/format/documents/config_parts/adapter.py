"""An adapter: small matrices that are trained while those of a base stay as they are."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, fields_dict, frozen

from mypt.format.calls.signatures import INTERNAL_FIELDS

# The feature that a config with an adapter requires: its weights are not those of a whole model.
FEATURE = "adapter.lora"


@frozen(kw_only=True)
class Adapter:
    """What a model adds to another one: `adapter` of a config.

    A matrix W of the base becomes W + alpha / rank * B A.

    Attributes:
        type: The kind of adapter.
        rank: Rows of each A, and columns of each B.
        alpha: Factor on B A, divided by the rank.
        targets: The adapted matrices, by the ends of their names within a layer, such as `qkv`;
            `q`, `k` and `v` are parts of `qkv`.
        dropout: Probability that an input of A becomes zero in training.
        base: Path of the base, as it was when the adapter began.
        base_sha256: SHA-256 of the base's weights.
        extra: Fields unknown to this version; written back as they were read.

    Source: Hu et al. 2021 (LoRA), section 4.1.
    """

    type: Literal["lora"] = "lora"
    rank: int
    alpha: float
    targets: tuple[str, ...]
    dropout: float = 0.0
    base: str
    base_sha256: str
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def scale(self) -> float:
        """Factor on B A."""
        return self.alpha / self.rank

    def __str__(self) -> str:
        """Return it in a few words, such as `LoRA of rank 8 on base`."""
        return f"LoRA of rank {self.rank} on {self.base}"


_REQUIRED = {"type", "rank", "alpha", "targets", "base", "base_sha256"}


def make_adapter(value: Any) -> Any:
    """Return a mapping as an `Adapter`, and anything else as it is.

    A mapping without a required field stays one, and fails the check of the whole config.
    """
    if not isinstance(value, Mapping) or not set(value) >= _REQUIRED:
        return value
    known = fields_dict(Adapter).keys() - INTERNAL_FIELDS
    members = {name: member for name, member in value.items() if name in known}
    if isinstance(members["targets"], list):
        members["targets"] = tuple(members["targets"])
    extra = {name: member for name, member in value.items() if name not in known}
    return Adapter(**members, extra=extra)
