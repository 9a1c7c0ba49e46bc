"""What a template writes of a vocabulary: its special tokens, and the variables for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.special_text import find_special_texts
from mypt.format.readers.shared.vocabulary import BPE_PACKAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts import Tokenizer

_VARIABLES = {"bos": "bos_token", "eos": "eos_token", "pad": "pad_token", "unk": "unk_token"}


def find_template_tokens(tokenizer: Tokenizer, source: str) -> dict[str, int]:
    """Return the ids of the tokens that a template may write, by their text.

    These are the special tokens. Of what a Hugging Face tokenizer has beside them, such as runs of
    spaces, those that the template names.
    """
    found = find_special_texts(tokenizer)
    section = (tokenizer.state().get("plugins") or {}).get(BPE_PACKAGE) or {}
    for token in (section.get("tokenizer") or {}).get("added_tokens") or ():
        text = token["content"]
        if token.get("special") or (text.strip() and text in source):
            found.setdefault(text, token["id"])
    return found


def find_variables(tokenizer: Tokenizer) -> dict[str, str]:
    """Return the variables of Hugging Face's conventions, such as `bos_token`."""
    roles: Mapping[str, Any] = tokenizer.state().get("special_tokens") or {}
    held = {name: roles.get(role) for role, name in _VARIABLES.items()}
    first = {
        name: ids[0] if isinstance(ids, list | tuple) and ids else ids for name, ids in held.items()
    }
    return {name: tokenizer.decode([n]) for name, n in first.items() if isinstance(n, int)}
