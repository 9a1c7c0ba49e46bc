"""The tokenizer in the metadata of a GGUF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.gguf import rwkv_text
from mypt.format.readers.gguf.pre_tokenizers import PRE_TOKENIZERS
from mypt.format.readers.hugging_face.text_rules import DEFAULT, read_text_rules
from mypt.format.readers.shared.vocabulary import (
    convert_hugging_face_document,
    make_char_document,
)
from mypt.format.readers.tokenizers.byte_bpe import make_byte_bpe
from mypt.format.readers.tokenizers.parts import make_added_token
from mypt.format.readers.tokenizers.sentencepiece import (
    PieceType,
    SentencePieces,
    make_sentencepiece,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Document = dict[str, Any]

START = "tokenizer.ggml."
MODEL, PRE, TOKENS, TYPES = (START + name for name in ("model", "pre", "tokens", "token_type"))
SCORES, MERGES = START + "scores", START + "merges"
ADD_BOS, ADD_EOS, ADD_SPACE = (
    START + name for name in ("add_bos_token", "add_eos_token", "add_space_prefix")
)
TEMPLATE, TEMPLATES = "tokenizer.chat_template", "tokenizer.chat_templates"
ROLES = {
    "bos": START + "bos_token_id",
    "eos": START + "eos_token_id",
    "pad": START + "padding_token_id",
    "unk": START + "unknown_token_id",
}
UNUSED, CONTROL = PieceType.UNUSED, PieceType.CONTROL
# Further tokens that end a text in llama.cpp.
ENDS = (START + "eot_token_id", START + "eom_token_id")
BYTE_BPE, SENTENCEPIECE, CHARS, NOTHING = "gpt2", "llama", "rwkv", ("none", "no_vocab")


def read_vocabulary(
    metadata: Mapping[str, Any], vocab_size: int, file: str, report: list[str]
) -> Document | None:
    """Return the fields of mypt's `tokenizer.json`; None if the file has no tokenizer.

    Args:
        metadata: The metadata of the file.
        vocab_size: Rows of the model.
        file: Its name, for messages.
        report: Takes a line for what is left out.

    Raises:
        FormatError: It is damaged, or of a kind that mypt cannot run exactly.
    """
    model = metadata.get(MODEL)
    if model is None or model in NOTHING:
        return None
    held = _Metadata(metadata, file)
    tokens = held.list_of(TOKENS, str)
    if len(tokens) != vocab_size:
        what = f"has {len(tokens)} tokens, but the model has {vocab_size} rows"
        raise _make_error(file, TOKENS, what)
    types = held.list_of(TYPES, int, len(tokens)) or [PieceType.NORMAL] * len(tokens)
    if all(kind == PieceType.UNUSED for kind in types):
        return None
    document: Mapping[str, Any]
    if model == CHARS:
        document = _read_chars(tokens, types, vocab_size, file, report)
    elif model in (BYTE_BPE, SENTENCEPIECE):
        make = _make_byte_bpe if model == BYTE_BPE else _make_sentencepiece
        made = make(held, tokens, types)
        document = convert_hugging_face_document(made, file, vocab_size, report)
    else:
        what = f"is {model!r:.60}; mypt reads {BYTE_BPE} and {SENTENCEPIECE}"
        raise _make_error(file, MODEL, what)
    templates = held.templates()
    return {**document, **read_text_rules(document, held.companions(tokens), vocab_size, templates)}


@frozen
class _Metadata:
    """The metadata of a file, with its types checked.

    Attributes:
        values: Values by key.
        file: Name of the file, for messages.
    """

    values: Mapping[str, Any]
    file: str

    def list_of(self, key: str, kind: type, length: int | None = None) -> list[Any]:
        """Return a list; an empty one if there is none, and the length does not say otherwise."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or any(type(one) is not kind for one in value):
            raise _make_error(self.file, key, f"is not a list of {kind.__name__}")
        if value and length is not None and len(value) != length:
            raise _make_error(self.file, key, f"has {len(value)} items for {length} tokens")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return a value that must be true or false."""
        value = self.values.get(key, default)
        if type(value) is not bool:
            raise _make_error(self.file, key, f"is {value!r:.60}, not true or false")
        return value

    def number(self, key: str, count: int, default: int = -1) -> int:
        """Return an id, or the default where there is none."""
        value = self.values.get(key, default)
        if type(value) is not int or not -1 <= value < count:
            raise _make_error(self.file, key, f"is {value!r:.60}, which is no token")
        return value

    def templates(self) -> dict[str, str]:
        """Return the chat templates by name."""
        named = {DEFAULT: TEMPLATE}
        named |= {name: f"{TEMPLATE}.{name}" for name in self.list_of(TEMPLATES, str)}
        return {
            name: self.values[key]
            for name, key in named.items()
            if isinstance(self.values.get(key), str)
        }

    def companions(self, tokens: Sequence[str]) -> dict[str, Any]:
        """Return the documents that would say the roles of tokens beside a `tokenizer.json`."""
        ids = {
            role: number
            for role, key in ROLES.items()
            if (number := self.number(key, len(tokens))) >= 0
        }
        ends = [ids["eos"]] if "eos" in ids else []
        ends += [n for key in ENDS if (n := self.number(key, len(tokens))) >= 0]
        found: dict[str, Any] = {"eos_token_id": list(dict.fromkeys(ends))} if ends else {}
        found |= {f"{role}_token_id": ids[role] for role in ("bos", "pad") if role in ids}
        return {
            "tokenizer_config": {f"{role}_token": tokens[number] for role, number in ids.items()},
            "generation_config": found,
        }


def _make_byte_bpe(held: _Metadata, tokens: Sequence[str], types: Sequence[int]) -> dict[str, Any]:
    name = held.values.get(PRE, "default")
    pre = PRE_TOKENIZERS.get(name) if isinstance(name, str) else None
    if pre is None:
        what = f"is {name!r:.60}; mypt splits texts as {', '.join(PRE_TOKENIZERS)} do"
        raise _make_error(held.file, PRE, what)
    added = [
        make_added_token(number, token, special=kind != PieceType.USER_DEFINED)
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (PieceType.CONTROL, PieceType.USER_DEFINED, PieceType.UNKNOWN)
    ]
    apart = {token["id"] for token in added}
    vocab = {
        token: number
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if number not in apart and kind != PieceType.UNUSED
    }
    used = sum(kind != PieceType.UNUSED for kind in types)
    if len({*vocab, *(token["content"] for token in added)}) != used:
        raise _make_error(held.file, TOKENS, "has two tokens of the same text")
    return make_byte_bpe(
        vocab,
        [_split_merge(merge, vocab, held.file) for merge in held.list_of(MERGES, str)],
        added_tokens=added,
        words=pre.words,
        ignore_merges=pre.ignore_merges,
        begin=_list_marks(held, tokens, ADD_BOS, "bos", default=pre.add_bos),
        end=_list_marks(held, tokens, ADD_EOS, "eos", default=False),
    )


def _split_merge(merge: str, vocab: Mapping[str, int], file: str) -> tuple[str, str]:
    left, space, right = merge.partition(" ")
    if not space or not {left, right, left + right} <= vocab.keys():
        raise _make_error(file, MERGES, f"has {merge!r:.60}, which merges no tokens")
    return left, right


def _list_marks(
    held: _Metadata, tokens: Sequence[str], key: str, role: str, *, default: bool
) -> list[tuple[str, int]]:
    """Return the text and the id of the token that the program puts around a text."""
    number = held.number(ROLES[role], len(tokens))
    return [(tokens[number], number)] if held.flag(key, default) and number >= 0 else []


def _make_sentencepiece(
    held: _Metadata, tokens: Sequence[str], types: Sequence[int]
) -> dict[str, Any]:
    scores = held.list_of(SCORES, float, len(tokens)) or [0.0] * len(tokens)
    pieces = SentencePieces(
        tokens,
        scores,
        types,
        byte_fallback=PieceType.BYTE in types,
        add_dummy_prefix=held.flag(ADD_SPACE, default=True),
        unk=held.number(ROLES["unk"], len(tokens), 0),
        bos=held.number(ROLES["bos"], len(tokens), 1),
        eos=held.number(ROLES["eos"], len(tokens), 2),
        pad=held.number(ROLES["pad"], len(tokens)),
    )
    return make_sentencepiece(pieces, held.file, add_bos=held.flag(ADD_BOS, default=True))


def _read_chars(
    tokens: Sequence[str], types: Sequence[int], vocab_size: int, file: str, report: list[str]
) -> Document:
    """Return the document of a character vocabulary, as mypt exports it."""
    texts = [rwkv_text.unescape(token) for token in tokens]
    kinds = dict(enumerate(types))
    chars = [texts[n] for n, kind in kinds.items() if kind not in (UNUSED, CONTROL)]
    if any(kinds[number] in (UNUSED, CONTROL) for number in range(len(chars))):
        raise _make_error(file, TYPES, "has tokens without use between others")
    special = {texts[number]: number for number, kind in kinds.items() if kind == CONTROL}
    n_known = max([len(chars), *(number + 1 for number in special.values())])
    document = make_char_document(chars, vocab_size, file, report if n_known < vocab_size else [])
    return {**document, **({"special_token_encoder": special} if special else {})}


def _make_error(file: str, where: str, what: str) -> FormatError:
    fix = "open the model with `--option tokenizer=none`, as one of bare ids"
    return FormatError(Problem(file, where, what, fix, kind="foreign.vocabulary"))
