"""The tokenizer of a model as the metadata of a GGUF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.shipped import find_template
from mypt.export.hugging_face.tokenizer import TOKENIZER, find_documents
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.gguf import rwkv_text
from mypt.format.readers.gguf.pre_tokenizers import PRE_TOKENIZERS
from mypt.format.readers.gguf.vocabulary import (
    ADD_BOS,
    BYTE_BPE,
    CHARS,
    ENDS,
    MERGES,
    MODEL,
    PRE,
    ROLES,
    TEMPLATE,
    TEMPLATES,
    TOKENS,
    TYPES,
)
from mypt.format.readers.tokenizers import words
from mypt.format.readers.tokenizers.sentencepiece import PieceType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.plugins.contracts.tokenizer import Tokenizer

    Document = Mapping[str, Any]

_GPT2_SPLIT = words.make_split(words.GPT2)
# How a byte-level vocabulary spells a byte that no text in UTF-8 has.
_NO_TEXT = "\xff"


def describe_vocabulary(
    state: TokenizerState | None, vocab_size: int, build_tokenizer: Callable[[], Tokenizer]
) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata of a tokenizer by key, and notes on what is left out.

    Args:
        state: The tokenizer of the model.
        vocab_size: Rows of the model, each of which has a token in the file.
        build_tokenizer: Builds it, or raises an error that says why not.
    """
    # programs with llama.cpp in them end where there is no vocabulary at all
    none = {MODEL: CHARS, **_list_tokens({}, {}, vocab_size)}
    if state is None:
        return none, ["the file has no tokenizer: the model has none"]
    if state.chars is not None:
        found = _describe_chars(state.chars, state.special_token_encoder, vocab_size)
        ends = _list_ends(state)
        roles = _describe_given_roles(state, ends) if ends or state.special_tokens.bos else {}
        return {**found, **roles, **_describe_templates(state)}, []
    documents, why = find_documents(state, build_tokenizer)
    try:
        if TOKENIZER not in documents:
            return none, [f"the file has no tokenizer: {why}"]
        found, notes = _describe_byte_bpe(documents[TOKENIZER], vocab_size)
    except FormatError as error:
        return none, [f"the file has no tokenizer: {error.problems[0]}"]
    roles, more = _describe_roles(state, found[TOKENS])
    return {**found, **roles, **_describe_templates(state)}, [*notes, *more]


def _describe_chars(
    chars: Sequence[str], special: Mapping[str, int], vocab_size: int
) -> dict[str, Any]:
    tokens = dict(enumerate(map(rwkv_text.escape, chars)))
    types = dict.fromkeys(tokens, PieceType.NORMAL)
    tokens |= {number: rwkv_text.escape(text) for text, number in special.items()}
    types |= dict.fromkeys(special.values(), PieceType.CONTROL)
    return {MODEL: CHARS, **_list_tokens(tokens, types, vocab_size)}


def _describe_byte_bpe(document: Document, vocab_size: int) -> tuple[dict[str, Any], list[str]]:
    """Return the vocabulary of a byte-level byte-pair encoding.

    Raises:
        FormatError: It is of another kind, or splits texts in a way that llama.cpp does not.
    """
    model = document.get("model", {})
    plain = (None, False, "", 0.0)
    settings = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback")
    if model.get("type") != "BPE" or any(model.get(name) not in plain for name in settings):
        what = "is no byte-level byte-pair encoding"
        raise _make_error(what)
    pre = _find_pre_tokenizer(document)
    added = {token["id"]: token for token in document.get("added_tokens") or []}
    tokens = {number: token for token, number in model["vocab"].items()}
    types = dict.fromkeys(tokens, PieceType.NORMAL)
    for number, token in added.items():
        tokens[number] = token["content"]
        types[number] = PieceType.CONTROL if token.get("special") else PieceType.USER_DEFINED
    merges = [one if isinstance(one, str) else " ".join(one) for one in model.get("merges", [])]
    found = {
        MODEL: BYTE_BPE,
        PRE: pre,
        **_list_tokens(tokens, types, vocab_size),
        MERGES: merges,
    }
    notes = []
    if document.get("normalizer") is not None:
        notes.append("llama.cpp does not normalize texts, which the tokenizer of the model does")
    return found, notes


def _find_pre_tokenizer(document: Document) -> str:
    """Return the name by which llama.cpp knows how a tokenizer splits texts.

    Raises:
        FormatError: It does not know it.
    """
    steps = list(_flatten(document.get("pre_tokenizer")))
    level = steps.pop() if steps else {}
    if level.get("type") != "ByteLevel" or level.get("add_prefix_space"):
        what = "does not work on the bytes of a text as it is"
        raise _make_error(what)
    if level.get("use_regex", True):
        steps.append(_GPT2_SPLIT)
    wanted = [*map(_strip, steps)], bool(document["model"].get("ignore_merges"))
    for pre in PRE_TOKENIZERS.values():
        held = [*map(_strip, pre.words or (_GPT2_SPLIT,))]
        if (held, pre.ignore_merges) == wanted:
            return pre.name
    what = "splits texts into words in a way that llama.cpp does not know"
    raise _make_error(what)


def _flatten(step: Document | None) -> Iterator[Document]:
    """Yield the steps of a pre-tokenizer."""
    if step is None:
        return
    if step.get("type") == "Sequence":
        for one in step.get("pretokenizers", []):
            yield from _flatten(one)
    else:
        yield step


def _strip(step: Document) -> Document:
    """Return a step without what does not change words."""
    return {name: value for name, value in step.items() if value is not False}


def _list_tokens(
    tokens: Mapping[int, str], types: Mapping[int, int], vocab_size: int
) -> dict[str, list[Any]]:
    """Return the tokens of all rows, those without one as unused."""
    rows = range(vocab_size)
    return {
        TOKENS: [tokens.get(number, f"[PAD{number}]") for number in rows],
        TYPES: [int(types.get(number, PieceType.UNUSED)) for number in rows],
    }


def _describe_roles(
    state: TokenizerState, tokens: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the ids of tokens with a role.

    Where no token ends a text, llama.cpp would take one for it that texts have. It gets a byte
    that no text has.
    """
    notes, ends = [], _list_ends(state)
    if state.add_bos and len(state.special_tokens.bos) > 1:
        notes.append("texts do not begin with BOS: llama.cpp has one token for it")
    if not ends:
        ends = [n for n, token in enumerate(tokens) if token == _NO_TEXT]
        other = "is given one that no text has" if ends else "takes the token 11 for one that does"
        notes.append(f"no token ends a text: llama.cpp {other}")
    begins = {} if state.special_tokens.bos or not ends else {ROLES["bos"]: ends[0]}
    return {**begins, **_describe_given_roles(state, ends)}, notes


def _describe_given_roles(state: TokenizerState, ends: Sequence[int]) -> dict[str, Any]:
    """Return the ids of the tokens with a role that there are.

    Args:
        state: The tokenizer of the model.
        ends: What ends a text or a turn.
    """
    special = state.special_tokens
    found: dict[str, Any] = {ADD_BOS: state.add_bos and len(special.bos) == 1}
    found |= dict(zip((ROLES["eos"], *ENDS), ends, strict=False))
    single = {"bos": special.bos[0] if special.bos else None, "pad": special.pad}
    single["unk"] = special.unk
    return found | {ROLES[role]: number for role, number in single.items() if number is not None}


def _list_ends(state: TokenizerState) -> list[int]:
    """Return what ends a text or a turn, the most important first: llama.cpp takes three of them.

    Of MyPT's ends of turns the last is the assistant's.
    """
    special = state.special_tokens
    return [*dict.fromkeys((*special.eos[:1], *special.turn_end[::-1], *special.eos[1:]))]


def _describe_templates(state: TokenizerState) -> dict[str, Any]:
    own = find_template(state.chat_template, state.special_token_encoder)
    named = state.additional_chat_templates
    return {
        **({} if own is None else {TEMPLATE: own}),
        **({TEMPLATES: [*named]} if named else {}),
        **{f"{TEMPLATE}.{name}": text for name, text in named.items()},
    }


def _make_error(what: str) -> FormatError:
    fix = "give texts to the model as ids"
    return FormatError(Problem("tokenizer.json", "", what, fix, kind="export.unsupported"))
