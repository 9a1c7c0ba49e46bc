"""Parts of a `tokenizer.json` that several kinds of tokenizers have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = Mapping[str, Any]


def make_added_token(
    number: int, text: str, *, special: bool, normalized: bool = False, **flags: bool
) -> dict[str, Any]:
    """Return a token that is found in a text before the model sees it.

    Args:
        number: Its id.
        text: Its text.
        special: Whether it is a mark of a program, such as the end of a text.
        normalized: Whether it is looked for in the normalized text.
        flags: Those of `single_word`, `lstrip` and `rstrip` that are set.
    """
    plain = {"single_word": False, "lstrip": False, "rstrip": False}
    named = {"id": number, "content": text, **plain, **flags}
    return {**named, "normalized": normalized, "special": special}


def make_sequence(kind: str, steps: Sequence[Document]) -> Document | None:
    """Return several steps as one; None for no step.

    Args:
        kind: What the list of them is called: `normalizers`, `pretokenizers` or `decoders`.
        steps: The steps.
    """
    if len(steps) < 2:
        return steps[0] if steps else None
    return {"type": "Sequence", kind: list(steps)}


def replace(pattern: str, content: str, *, regex: bool = False) -> Document:
    """Return a step that replaces what a pattern finds."""
    return {
        "type": "Replace",
        "pattern": {"Regex" if regex else "String": pattern},
        "content": content,
    }


def make_template(
    begin: Sequence[tuple[str, int]], end: Sequence[tuple[str, int]] = ()
) -> Document:
    """Return the post-processor that puts tokens around a text.

    Args:
        begin: Texts and ids of the tokens before it.
        end: Those after it.
    """
    tokens = {
        text: {"id": text, "ids": [number], "tokens": [text]} for text, number in [*begin, *end]
    }

    def mark(pairs: Sequence[tuple[str, int]], segment: int) -> list[Document]:
        return [{"SpecialToken": {"id": text, "type_id": segment}} for text, _ in pairs]

    def surround(name: str, segment: int) -> list[Document]:
        text = {"Sequence": {"id": name, "type_id": segment}}
        return [*mark(begin, segment), text, *mark(end, segment)]

    return {
        "type": "TemplateProcessing",
        "single": surround("A", 0),
        "pair": [*surround("A", 0), *surround("B", 1)],
        "special_tokens": tokens,
    }


def make_document(model: Document, **parts: Any) -> dict[str, Any]:
    """Return a complete `tokenizer.json`.

    Args:
        model: What makes tokens of words.
        parts: Those of the other keys that are not empty.
    """
    empty: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
    }
    steps = ("padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    return {**empty, **dict.fromkeys(steps), **parts, "model": dict(model)}
