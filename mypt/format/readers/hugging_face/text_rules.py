"""How the tokenizer of a Hugging Face folder makes texts: roles of tokens, and chat templates."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from mypt.format.documents.special_tokens import END_OF_TEXT, END_OF_TEXT_ID
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.vocabulary import BPE_PACKAGE
from mypt.format.storage.files import is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer_config", "generation_config"
TEMPLATE_FILE, TEMPLATE_FOLDER = "chat_template.jinja", "additional_chat_templates"
DEFAULT = "default"


def read_text_rules(
    tokenizer: Mapping[str, Any],
    companions: Mapping[str, Any],
    vocab_size: int,
    templates: Mapping[str, str],
) -> dict[str, Any]:
    """Return the fields of mypt's `tokenizer.json` that say how texts are made.

    Args:
        tokenizer: The other fields of that document.
        companions: The documents beside it, as `read_companions` returns them.
        vocab_size: Rows of the model; tokens beyond them have no role.
        templates: The chat templates, by name.
    """
    document = tokenizer.get("plugins", {}).get(BPE_PACKAGE, {}).get("tokenizer", {})
    ids = list_tokens(document) if document else _list_gpt2_tokens(tokenizer)
    named, ends = companions.get(TOKENIZER_CONFIG, {}), companions.get(GENERATION_CONFIG, {})
    begin = list_begin_ids(document.get("post_processor"))

    def find(role: str) -> list[int]:
        held = [ids.get(text_of(named.get(f"{role}_token")) or ""), *_listed(ends, role)]
        return [n for n in dict.fromkeys(held) if type(n) is int and 0 <= n < vocab_size]

    unknown = _find_unknown(document, ids)
    eos, pad, unk = find("eos"), find("pad"), [*find("unk"), *unknown]
    roles = {
        "bos": list(begin) or find("bos")[:1],
        "eos": eos,
        "pad": pad[0] if pad else None,
        "unk": unk[0] if unk else None,
        "turn_end": _find_turn_ends(eos, ids, templates.get(DEFAULT)),
    }
    return {
        "special_tokens": {role: value for role, value in roles.items() if value not in ([], None)},
        "add_bos": bool(begin),
        "chat_template": templates.get(DEFAULT),
        "additional_chat_templates": {n: t for n, t in templates.items() if n != DEFAULT},
    }


def read_chat_templates(path: Path, tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """Return the chat templates of a folder by name; the one without a name is `default`.

    Files with templates win over those in `tokenizer_config.json`, as in `transformers`.

    Raises:
        FormatError: A file is not UTF-8.
        OSError: It cannot be read.
    """
    files = {DEFAULT: path / TEMPLATE_FILE} if is_regular_file(path / TEMPLATE_FILE) else {}
    more = sorted((path / TEMPLATE_FOLDER).glob("*.jinja"))
    files |= {file.stem: file for file in more if is_regular_file(file)}
    if files:
        return {name: _read_template(file) for name, file in files.items()}
    return dict(list_templates(tokenizer_config.get("chat_template")))


def list_begin_ids(processor: Any) -> tuple[int, ...]:
    """Return the ids that a post-processor puts before a single text."""
    match processor:
        case {"type": "Sequence", "processors": [*steps]}:
            return tuple(number for step in reversed(steps) for number in list_begin_ids(step))
        case {"type": "TemplateProcessing", "single": [*pieces], "special_tokens": tokens}:
            before = takewhile(lambda piece: "SpecialToken" in piece, pieces)
            names = [piece["SpecialToken"]["id"] for piece in before]
            return tuple(number for name in names for number in tokens[name]["ids"])
        case {"type": "BertProcessing" | "RobertaProcessing", "cls": [_, number]}:
            return (number,)
    return ()


def list_tokens(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    """Return the ids of the tokens of Hugging Face's `tokenizer.json`, whatever model it has."""
    vocab = list_vocab(tokenizer["model"])
    added = {token["content"]: token["id"] for token in tokenizer.get("added_tokens") or []}
    return {**vocab, **added}


def list_vocab(model: Mapping[str, Any]) -> dict[str, int]:
    """Return the ids of the tokens of a `tokenizer.json`'s model, without the added ones."""
    vocab = model.get("vocab", {})
    if isinstance(vocab, list):  # Unigram: pairs of a token and its score
        return {token: number for number, (token, _) in enumerate(vocab)}
    return dict(vocab)


def text_of(token: Any) -> str | None:
    """Return the text of a token in a `tokenizer_config.json`, which may be an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _list_gpt2_tokens(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    return {END_OF_TEXT: END_OF_TEXT_ID, **tokenizer.get("special_token_encoder", {})}


def _listed(ends: Mapping[str, Any], role: str) -> list[Any]:
    """Return the ids that a `generation_config.json` has for a role: one, or a list of them."""
    value = ends.get(f"{role}_token_id")
    return value if isinstance(value, list) else [value]


def _find_unknown(tokenizer: Mapping[str, Any], ids: Mapping[str, int]) -> list[int]:
    model = tokenizer.get("model", {})
    number = ids.get(model.get("unk_token") or "", model.get("unk_id"))
    return [] if number is None else [number]


def _find_turn_ends(eos: Iterable[int], ids: Mapping[str, int], template: str | None) -> list[int]:
    """Return the ends of a text that the chat template writes by name, so after a turn."""
    texts = {number: text for text, number in ids.items()}
    return [n for n in eos if template is not None and texts.get(n, "\0") in template]


def list_templates(held: Any) -> Iterator[tuple[str, str]]:
    """Yield the chat templates of a `tokenizer_config.json`, each with its name."""
    if isinstance(held, str):
        yield DEFAULT, held
    elif isinstance(held, list):
        for one in held:
            match one:
                case {"name": str(name), "template": str(template)}:
                    yield name, template


def _read_template(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (byte {error.start})"
        raise FormatError(Problem(str(file), "", what, "save it as UTF-8", kind="file")) from error
