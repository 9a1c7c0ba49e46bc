"""Steps of a `tokenizer.json` that split a text into words.

A merge never spans two words. The patterns are those that the vocabularies were trained with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Document = Mapping[str, Any]

_CASELESS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
# OpenAI, GPT-2: `encoder.py`.
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# OpenAI, cl100k_base, which Llama 3 took over; up to three digits are a word.
LLAMA3 = rf"{_CASELESS}|{_LETTERS}|\p{{N}}{{1,3}}|{_SIGNS}|{_REST}"
# Qwen 2 and 3: each digit is a word.
QWEN2 = rf"{_CASELESS}|{_LETTERS}|\p{{N}}|{_SIGNS}|{_REST}"

# Starcoder and SmolLM: each digit is a word; a split by GPT-2's pattern follows.
DIGITS: Document = {"type": "Digits", "individual_digits": True}


def make_split(pattern: str, behavior: str = "Isolated") -> Document:
    """Return a step that makes each match of a pattern a word, and what is between them."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}
