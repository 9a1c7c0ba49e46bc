"""Put declared tokens into a `tokenizer.json`, with the ids that `tokenizers` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

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
    ids = _TakenIds({number: text for text, number in vocab.items()})
    for text, token in held.items():
        ids.added.setdefault(token["id"], set()).add(text)
    following = max(len(vocab), *(number + 1 for number in ids.added), 0)
    outside: dict[str, int] = {}
    for number, token in _list_missing(declared, held):
        text = token["content"]
        place = held[text]["id"] if text in held else vocab.get(text)
        if place is None:
            place = following if number is None else number
            outside |= {text: place} if place != following else {}
        ids.take(place, text, file)
        following = max(following, place + 1)
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


@frozen
class _TakenIds:
    """The texts that have an id, so that none is looked for among all tokens.

    Attributes:
        vocab: The text in the vocabulary, by id.
        added: The texts of added tokens, by id.
    """

    vocab: Mapping[int, str]
    added: dict[int, set[str]] = field(factory=dict)

    def take(self, place: int, text: str, file: str) -> None:
        """Note that a text has an id; raise if another one has it."""
        others = self.added.setdefault(place, set()) | {self.vocab.get(place, text)}
        for other in others - {text}:
            what = f"gives {text!r} the id {place}, which {other!r} has"
            fix = "restore the files, or open the model with `--option tokenizer=none`"
            raise FormatError(Problem(file, "", what, fix, kind="foreign.vocabulary"))
        self.added[place].add(text)
