"""The documents from which `AutoTokenizer` makes the tokenizer of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.export.hugging_face.text_rules import (
    are_told,
    generation_changes,
    role_changes,
    template_changes,
    with_begin_ids,
)
from mypt.format.documents.convert import to_document
from mypt.format.errors import FormatError, PluginError, log_traceback
from mypt.format.readers.hugging_face.text_rules import (
    GENERATION_CONFIG,
    TOKENIZER_CONFIG,
    list_tokens,
    text_of,
)
from mypt.format.readers.shared.vocabulary import BPE_PACKAGE
from mypt.format.rules.requirements import feature_problems
from mypt.format.storage import files
from mypt.plugins.contracts.tokenizer import ExportableTokenizer
from mypt.tokenizers.hugging_face_files import add_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.plugins.contracts.tokenizer import Tokenizer

    Documents = dict[str, dict[str, Any]]

TOKENIZER, CONFIG, GENERATION = "tokenizer", TOKENIZER_CONFIG, GENERATION_CONFIG
ENDS = ("bos", "eos")
# Reads a tokenizer.json and adds no token, which the class that belongs to GPT-2 or Llama may do.
_CLASS = {"tokenizer_class": "PreTrainedTokenizerFast"}
_TOKEN_LISTS = ("additional_special_tokens", "extra_special_tokens")


def make_documents(
    state: TokenizerState | None, block_size: int, build_tokenizer: Callable[[], Tokenizer]
) -> tuple[Documents, list[str]]:
    """Return the documents by their names without `.json`, and notes on what is left out.

    Documents that came with a model stay as they are, but for what the tokenizer's own fields say
    otherwise by now, for tokens that the model lacks and for code that is not in them. There is
    always a `generation_config`.

    Args:
        state: The tokenizer of the model.
        block_size: Number of tokens that the model sees.
        build_tokenizer: Builds it, or raises an error that says why not.
    """
    own, why_none = find_documents(state, build_tokenizer)
    came = {} if state is None else state.hugging_face
    documents = {**own, **{name: came[name] for name in (CONFIG, GENERATION) if name in came}}
    if state is None or TOKENIZER not in own:
        documents.pop(CONFIG, None)
        notes = [f"the folder has no tokenizer: {why_none}"] if why_none else []
    else:
        documents[TOKENIZER] = with_begin_ids(own[TOKENIZER], state.begin_ids)
        made = {"clean_up_tokenization_spaces": False, "model_max_length": block_size}
        given = documents.get(CONFIG, {})
        given = given if CONFIG in state.hugging_face else {**made, **given}
        given = {**given, **template_changes(given, state)}
        if not are_told(state):
            changes = role_changes(given, state.special_tokens, documents[TOKENIZER])
            given = {**given, **changes}
        known = list_tokens(documents[TOKENIZER])
        documents[CONFIG], notes = _complete_config(given, known)
    ids = {f"{end}_token_id": _find_id(documents, end) for end in ENDS}
    documents.setdefault(GENERATION, ids)
    if state is not None and not are_told(state):
        ends = documents[GENERATION]
        documents[GENERATION] = {**ends, **generation_changes(ends, state.special_tokens)}
    return documents, notes


def find_documents(
    state: TokenizerState | None, build_tokenizer: Callable[[], Tokenizer]
) -> tuple[Documents, str]:
    """Return what the tokenizer itself consists of; if nothing is left of one, also why."""
    if state is None:
        return {}, ""
    unknown = feature_problems("tokenizer", to_document(state), files.TOKENIZER)
    if unknown:
        return {}, str(unknown[0])
    section = state.plugins.get(BPE_PACKAGE, {})
    try:
        if TOKENIZER in section:
            return {TOKENIZER: add_tokens(section[TOKENIZER], state.special_token_encoder)}, ""
        tokenizer = build_tokenizer()
        if isinstance(tokenizer, ExportableTokenizer):
            return {name: dict(made) for name, made in tokenizer.to_hugging_face().items()}, ""
    except (FormatError, PluginError) as error:
        log_traceback(error)
        return {}, str(error.problems[0])
    return {}, f"{state.token_kind} has no form of Hugging Face's (`to_hugging_face`)"


def _complete_config(
    given: Mapping[str, Any], known: Container[str]
) -> tuple[dict[str, Any], list[str]]:
    """Name a class, and leave out tokens without an id, for which `transformers` would make one."""
    config, notes = dict(given), []
    if "auto_map" in config:
        del config["auto_map"]
        config |= _CLASS
        notes.append("the tokenizer's own code is left out: tokenizer.json says what it does")
    for name, value in given.items():
        if name.endswith("_token") and (text := text_of(value)) is not None and text not in known:
            del config[name]
            notes.append(f"{name}, {text!r}, is left out: the model has no such token")
        elif name in _TOKEN_LISTS and isinstance(value, list):
            config[name] = [token for token in value if text_of(token) in known]
        elif name == "added_tokens_decoder" and isinstance(value, dict):
            config[name] = {id_: t for id_, t in value.items() if text_of(t) in known}
    return (config if "tokenizer_class" in config else config | _CLASS), notes


def _find_id(documents: Documents, end: str) -> int | None:
    """Return the id of the token that the config names as BOS or EOS."""
    text = text_of(documents.get(CONFIG, {}).get(f"{end}_token"))
    return None if text is None else list_tokens(documents[TOKENIZER])[text]
