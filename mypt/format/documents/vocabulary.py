"""What is known of a vocabulary: by its tokenizer, and by the document it was read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.tokenizer import TEXT_FIELDS, TokenizerState

if TYPE_CHECKING:
    from collections.abc import Mapping


def merge_document(fields: Mapping[str, Any], known: TokenizerState | None) -> TokenizerState:
    """Return the document of a tokenizer, with all that its old one says beyond the tokenizer.

    Args:
        fields: What the tokenizer says of itself.
        known: The document that it was built from; None, or that of another kind, for a new one.
    """
    if known is None or known.token_kind != fields["token_kind"]:
        return from_document(TokenizerState, fields)
    before = to_document(known)
    return from_document(
        TokenizerState, {**before, **fields, **{name: before[name] for name in TEXT_FIELDS}}
    )


def pick_text_fields(fields: Mapping[str, Any]) -> TokenizerState:
    """Return what a document says of how texts are made of tokens, without the tokens."""
    chosen = {name: fields[name] for name in ("token_kind", *TEXT_FIELDS) if name in fields}
    return from_document(TokenizerState, chosen)


def describe_for_data(fields: Mapping[str, Any], known: TokenizerState | None) -> dict[str, Any]:
    """Return what a data set keeps of its tokenizer: what it says of itself, and of its texts.

    Args:
        fields: What the tokenizer says of itself.
        known: The document of the model that it is of; None for a new one.
    """
    before = {} if known is None else to_document(known)
    return {**fields, **{name: before[name] for name in TEXT_FIELDS if name in before}}
