"""Put declared tokens into a `tokenizer.json`, with the ids that `tokenizers` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.text_rules import list_vocab

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.format.readers.hugging_face.tokenizer.declared import DeclaredTokens

    Document = Mapping[str, Any]


def add_declared_tokens(document: Document, declared: DeclaredTokens, file: str) -> dict[str, Any]:
    """Return the document with the declared tokens that it lacks.

    A token that the vocabulary holds has its id from there; another one has the id that is
    declared, or the next after all others.

    Args:
        document: A `tokenizer.json`.
        declared: The tokens.
        file: Where they are declared, for messages.

    Raises:
        FormatError: Two tokens have one id.
    """
    vocab = list_vocab(document["model"])
    held = {token["content"]: token for token in document.get("added_tokens") or []}
    outside: dict[str, int] = {}
    for number, token in _list_missing(declared, held):
        text = token["content"]
        ends = [len(vocab), *(one["id"] + 1 for one in held.values())]
        following = max(ends)
        place = held[text]["id"] if text in held else vocab.get(text)
        if place is None:
            place = following if number is None else number
            outside |= {text: place} if place != following else {}
        _check_free(place, text, vocab, held, file)
        held[text] = {"id": place, **token}
    model = document["model"]
    if outside:  # `tokenizers` keeps an id that is not the next one if the vocabulary has it
        model = {**model, "vocab": {**model["vocab"], **outside}}
    added = sorted(held.values(), key=lambda token: int(token["id"]))
    return {**document, "model": model, "added_tokens": added}


def _list_missing(
    declared: DeclaredTokens, held: Mapping[str, Document]
) -> Iterator[tuple[int | None, Document]]:
    """Yield the tokens to add, and the ids of those that have one."""
    named = {token["content"] for token in declared.by_role.values()}
    for number, token in declared.by_id.items():
        marked = token["special"] or token["content"] in named
        yield number, {**token, "special": marked}
    seen = {*held, *(token["content"] for token in declared.by_id.values())}
    for token in (*declared.by_role.values(), *declared.more):
        if token["content"] not in seen:
            seen.add(token["content"])
            yield None, {**token, "special": True}


def _check_free(
    place: int,
    text: str,
    vocab: Mapping[str, int],
    held: Mapping[str, Document],
    file: str,
) -> None:
    taken = {token["id"]: other for other, token in held.items() if other != text}
    if vocab.get(text) != place:
        taken |= {number: other for other, number in vocab.items() if number == place}
    if place in taken:
        what = f"gives {text!r} the id {place}, which {taken[place]!r} has"
        fix = "restore the files, or open the model with `--option tokenizer=none`"
        raise FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))
