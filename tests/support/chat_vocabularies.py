"""Tokenizers with the special tokens of the chat templates that ship with mypt."""

from mypt.chat.shipped import SHIPPED
from mypt.tokenizers.added_tokens import with_added_tokens
from mypt.tokenizers.char import CharTokenizer
from mypt.tokenizers.gpt2 import Gpt2Tokenizer

CHARS = CharTokenizer([chr(n) for n in range(1, 0x180)])


def tokenizer_for(name, inner=None):
    """Return a tokenizer with what a shipped template needs."""
    inner, shipped = inner or Gpt2Tokenizer(), SHIPPED[name]
    texts = dict.fromkeys([*shipped.tokens, *shipped.roles.values()])
    special = {text: inner.n_vocab + n for n, text in enumerate(texts)}
    roles = {}
    for role, text in {**shipped.roles, **shipped.fixed_roles}.items():
        is_one = role in ("system", "user", "assistant")
        roles[role] = special[text] if is_one else [special[text]]
    document = {"special_token_encoder": special, "special_tokens": roles}
    return with_added_tokens(inner, document)
