"""The vocabulary of a model."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class TokenizerState:
    """Vocabulary: `tokenizer.json`."""

    token_kind: str
    chars: tuple[str, ...] | None = None
    special_token_encoder: Mapping[str, int] = field(factory=dict)
    plugins: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)
