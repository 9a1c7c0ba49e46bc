"""How texts are made of tokens, in the terms of a Hugging Face folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.shipped import find_template
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.special_tokens import SpecialTokens
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.text_rules import (
    DEFAULT,
    list_begin_ids,
    list_templates,
    list_tokens,
    read_text_rules,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.format.documents.tokenizer import TokenizerState

    Document = Mapping[str, Any]

_ANY_SIZE = 1 << 31
UNSUPPORTED = "export.unsupported"


def are_told(state: TokenizerState) -> bool:
    """Return whether the documents that came with a model say of the roles what the fields say.

    Args:
        state: The fields of mypt's `tokenizer.json`, with those documents.
    """
    templates = _list_templates(state)
    told = read_text_rules(to_document(state), state.hugging_face, _ANY_SIZE, templates)
    return from_document(SpecialTokens, told["special_tokens"]) == state.special_tokens


def role_changes(given: Document, tokens: SpecialTokens, tokenizer: Document) -> dict[str, Any]:
    """Return what a `tokenizer_config` has to say otherwise of the roles of tokens.

    A token with a role is named only if the tokenizer finds it in texts, or if a chat template may
    write it: `transformers` would find any that is named.

    Args:
        given: The `tokenizer_config`, with its chat templates.
        tokens: The roles.
        tokenizer: Hugging Face's `tokenizer.json`.
    """
    added = {token["id"]: token["content"] for token in tokenizer.get("added_tokens") or []}
    ids = list_tokens(tokenizer)
    if given.get("chat_template"):
        added = {number: text for text, number in ids.items()} | added
    return {
        f"{role}_token": added[number]
        for role, number in _list_single(tokens)
        if number in added and ids.get(text_of(given.get(f"{role}_token")) or "") != number
    }


def template_changes(given: Document, state: TokenizerState) -> dict[str, Any]:
    """Return what a `tokenizer_config` has to say otherwise of chat templates."""
    templates = _list_templates(state)
    if not templates or templates == dict(list_templates(given.get("chat_template"))):
        return {}
    if templates.keys() == {DEFAULT}:
        return {"chat_template": templates[DEFAULT]}
    named = [{"name": name, "template": text} for name, text in templates.items()]
    return {"chat_template": named}


def generation_changes(given: Document, tokens: SpecialTokens) -> dict[str, Any]:
    """Return what a `generation_config` has to say otherwise, so that it agrees with the roles.

    Args:
        given: The `generation_config`.
        tokens: The roles.
    """
    wanted: dict[str, Sequence[int]] = {
        "bos": tokens.bos[:1],
        "eos": tuple(dict.fromkeys((*tokens.eos, *tokens.turn_end))),
        "pad": () if tokens.pad is None else (tokens.pad,),
    }
    return {
        f"{role}_token_id": list(ids) if len(ids) > 1 else ids[0]
        for role, ids in wanted.items()
        if ids and set(_as_list(given.get(f"{role}_token_id"))) != set(ids)
    }


def with_begin_ids(tokenizer: Document, begin: Sequence[int]) -> dict[str, Any]:
    """Return a `tokenizer.json` of Hugging Face's that puts these ids before a text.

    One that does already stays as it is.

    Raises:
        FormatError: It has no text for one of them.
    """
    if list_begin_ids(tokenizer.get("post_processor")) == tuple(begin):
        return dict(tokenizer)
    texts = {number: text for text, number in list_tokens(tokenizer).items()}
    missing = [number for number in begin if number not in texts]
    if missing:
        what = f"names the id {missing[0]}, which is no token of the tokenizer"
        fix = "name one that it has, or set add_bos to false"
        problem = Problem("tokenizer.json", "/special_tokens/bos", what, fix, kind=UNSUPPORTED)
        raise FormatError(problem)
    names = [texts[number] for number in begin]
    pieces = [{"SpecialToken": {"id": name, "type_id": 0}} for name in names]
    single = [*pieces, {"Sequence": {"id": "A", "type_id": 0}}]
    processor = {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            name: {"id": name, "ids": [number], "tokens": [name]}
            for name, number in zip(names, begin, strict=True)
        },
    }
    return {**tokenizer, "post_processor": processor if begin else None}


def _list_single(tokens: SpecialTokens) -> Iterator[tuple[str, int]]:
    """Yield the roles that have a single token in a `tokenizer_config`."""
    if len(tokens.bos) == 1:
        yield "bos", tokens.bos[0]
    if tokens.eos:
        yield "eos", tokens.eos[0]
    if tokens.pad is not None:
        yield "pad", tokens.pad
    if tokens.unk is not None:
        yield "unk", tokens.unk


def _list_templates(state: TokenizerState) -> dict[str, str]:
    own = find_template(state.chat_template, state.special_token_encoder)
    default = {} if own is None else {DEFAULT: own}
    return {**default, **state.additional_chat_templates}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
