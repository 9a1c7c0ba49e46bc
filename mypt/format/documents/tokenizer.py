"""The vocabulary of a model."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from mypt.format.documents.special_tokens import SpecialTokens

# What the `token_kind` gpt2 stands for; its document does not list the tokens.
GPT2_VOCAB_SIZE = 50257
GPT2_PADDED_VOCAB_SIZE = 50304  # the next multiple of 64, which matrix products like
# The fields that say how texts are made of tokens, whatever tokenizer makes the tokens.
TEXT_FIELDS = ("special_tokens", "add_bos", "chat_template", "additional_chat_templates")


@frozen(kw_only=True)
class TokenizerState:
    """Vocabulary: `tokenizer.json`.

    Attributes:
        special_tokens: Roles of tokens.
        add_bos: Whether a text that the model continues or scores begins with `special_tokens.bos`.
        chat_template: Jinja template of conversations.
        additional_chat_templates: Further ones, by name.
    """

    token_kind: str
    chars: tuple[str, ...] | None = None
    special_token_encoder: Mapping[str, int] = field(factory=dict)
    special_tokens: SpecialTokens = field(factory=SpecialTokens)
    add_bos: bool = False
    chat_template: str | None = None
    additional_chat_templates: Mapping[str, str] = field(factory=dict)
    plugins: Mapping[str, Any] = field(factory=dict)
    requires: tuple[str, ...] = ()
    hugging_face: Mapping[str, Any] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)

    @property
    def begin_ids(self) -> tuple[int, ...]:
        """The ids that begin a text that the model continues or scores."""
        return self.special_tokens.bos if self.add_bos else ()
