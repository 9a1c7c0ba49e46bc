"""Take spaces before punctuation out of decoded texts, as `transformers` does for words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.readers.tokenizers.parts import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

# Source: `clean_up_tokenization` of transformers 5.
_SHORTER = {
    **{f" {sign}": sign for sign in ".?!,"},
    " ' ": "'",
    **{f" {end}": end for end in ("n't", "'m", "'s", "'ve", "'re")},
}


# Without a decoder, the tokens are joined by spaces; this one does the same, as no token begins so.
_SPACES: Mapping[str, Any] = {"type": "WordPiece", "prefix": "\0\0", "cleanup": False}


def add_clean_up(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `tokenizer.json` whose decoder does so.

    It stays as it is if it is a byte-pair encoding, of which `transformers` cleans no text.
    """
    if document["model"].get("type", "BPE") == "BPE":
        return dict(document)
    shorter = [replace(pattern, content) for pattern, content in _SHORTER.items()]
    steps = [document.get("decoder") or _SPACES, {"type": "Fuse"}, *shorter]
    return {**document, "decoder": {"type": "Sequence", "decoders": steps}}
