"""The vocabulary of a model."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

# What the `token_kind` gpt2 stands for; its document does not list the tokens.
GPT2_VOCAB_SIZE = 50257
GPT2_PADDED_VOCAB_SIZE = 50304  # the next multiple of 64, which matrix products like
END_OF_TEXT, END_OF_TEXT_ID = "<|endoftext|>", 50256


@frozen(kw_only=True)
class TokenizerState:
    """Vocabulary: `tokenizer.json`."""

    token_kind: str
    chars: tuple[str, ...] | None = None
    special_token_encoder: Mapping[str, int] = field(factory=dict)
    plugins: Mapping[str, Any] = field(factory=dict)
    hugging_face: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)
