"""What a template writes of a vocabulary: its special tokens, and the variables for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.special_text import find_special_texts, list_added_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts.tokenizer import Tokenizer

_VARIABLES = {"bos": "bos_token", "eos": "eos_token", "pad": "pad_token", "unk": "unk_token"}


def find_template_tokens(tokenizer: Tokenizer, source: str) -> dict[str, int]:
    """Return the ids of the tokens that a template may write, by their text.

    These are the special tokens. Of what a Hugging Face tokenizer has beside them, such as runs of
    spaces, those that the template names.
    """
    named = [one for one in list_added_tokens(tokenizer.state()) if one["content"] in source]
    others = {one["content"]: one["id"] for one in named if one["content"].strip()}
    return {**others, **find_special_texts(tokenizer)}


def find_variables(tokenizer: Tokenizer) -> dict[str, str]:
    """Return the variables of Hugging Face's conventions, such as `bos_token`."""
    roles: Mapping[str, Any] = tokenizer.state().get("special_tokens") or {}
    held = {name: roles.get(role) for role, name in _VARIABLES.items()}
    first = {
        name: ids[0] if isinstance(ids, list | tuple) and ids else ids for name, ids in held.items()
    }
    return {name: tokenizer.decode([n]) for name, n in first.items() if isinstance(n, int)}
