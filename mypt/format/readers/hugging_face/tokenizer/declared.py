"""The tokens that the files beside a vocabulary declare.

Source: `from_pretrained` of the tokenizers of transformers 5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.hugging_face.text_rules import TOKENIZER_CONFIG, text_of
from mypt.format.readers.tokenizers.parts import make_added_token
from mypt.format.schema.messages import json_pointer
from mypt.format.storage.files import is_regular_file, read_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Token = Mapping[str, Any]

ADDED, SPECIAL = "added_tokens.json", "special_tokens_map.json"
_ROLES = tuple(f"{role}_token" for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"))
_MORE = ("extra_special_tokens", "additional_special_tokens")
_ID = re.compile("[0-9]{1,18}")
_FLAGS = ("single_word", "lstrip", "rstrip")


@frozen
class DeclaredTokens:
    """Tokens in the order in which `transformers` adds them.

    Attributes:
        by_id: Those whose ids are declared: without `id`, by it.
        by_role: Those with a role, such as `bos_token`.
        more: Further ones, which are special too.
    """

    by_id: Mapping[int, Token]
    by_role: Mapping[str, Token]
    more: tuple[Token, ...]

    def text(self, role: str) -> str | None:
        """Return the text of the token with a role, such as `bos_token`; None for none."""
        return self.by_role[role]["content"] if role in self.by_role else None

    def with_defaults(self, texts: Mapping[str, str]) -> DeclaredTokens:
        """Return the tokens with those that a class has by default, by their roles."""
        own = {role: make_token(text) for role, text in texts.items()}
        named = {**own, **self.by_role}
        return evolve(self, by_role={role: named[role] for role in sort_roles(named)})


def read_declared_tokens(path: Path, config: Mapping[str, Any]) -> DeclaredTokens:
    """Return what `tokenizer_config.json` declares, and older files where it lists no ids.

    Args:
        path: The folder.
        config: The content of its `tokenizer_config.json`; empty if there is none.

    Raises:
        FormatError: A file is not a strict JSON object, or has something else for a token.
        OSError: It cannot be read.
    """
    file = str(path / f"{TOKENIZER_CONFIG}.json")
    listed = config.get("added_tokens_decoder")
    old: Mapping[str, Any] = {}
    if listed is None and is_regular_file(path / SPECIAL):
        old, _ = read_document(path / SPECIAL, str(path / SPECIAL))
    by_id = {} if listed is None else dict(_list_by_id(listed, file))
    named = {name: config.get(name) for name in _list_roles(config)}
    named |= {name: old[name] for name in _list_roles(old)}
    files = dict.fromkeys(named, file) | dict.fromkeys(_list_roles(old), str(path / SPECIAL))
    roles = {
        role: _to_token(value, json_pointer([role]), files[role])
        for role, value in named.items()
        if value is not None
    }
    more = [*_list_more(config, file), *_list_more(old, str(path / SPECIAL))]
    if listed is None and is_regular_file(path / ADDED):
        special = {token["content"] for token in (*roles.values(), *more)}
        by_id = dict(_read_added(path / ADDED, special))
    same = {token["content"]: token for token in by_id.values()}
    return DeclaredTokens(
        by_id={number: by_id[number] for number in sorted(by_id)},
        by_role={r: same.get(roles[r]["content"], roles[r]) for r in sort_roles(roles)},
        more=tuple(same.get(token["content"], token) for token in more),
    )


def sort_roles(named: Mapping[str, Any]) -> list[str]:
    """Return the roles of tokens in the order in which they are added."""
    known = [role for role in _ROLES if role in named]
    return [*known, *(role for role in named if role not in _ROLES)]


def make_token(text: str) -> Token:
    """Return a special token without an id."""
    token = make_added_token(0, text, special=True)
    del token["id"]
    return token


def _list_roles(held: Mapping[str, Any]) -> list[str]:
    """Return the keys that name a token: the usual roles, and a model's own."""
    own = [n for n, v in held.items() if n.endswith("_token") and text_of(v) is not None]
    return [*dict.fromkeys([*(role for role in _ROLES if role in held), *own])]


def _list_more(held: Mapping[str, Any], file: str) -> Iterator[Token]:
    for key in _MORE:
        found = held.get(key) or []
        if isinstance(found, dict):
            found = list(found.values())
        if not isinstance(found, list):
            raise _make_token_error(file, json_pointer([key]))
        for number, value in enumerate(found):
            yield _to_token(value, json_pointer([key, str(number)]), file)


def _list_by_id(listed: Any, file: str) -> Iterator[tuple[int, Token]]:
    pointer = json_pointer(["added_tokens_decoder"])
    if not isinstance(listed, dict):
        raise _make_token_error(file, pointer)
    for key, value in listed.items():
        pointer = json_pointer(["added_tokens_decoder", key])
        if not _ID.fullmatch(key) or not isinstance(value, dict):
            raise _make_token_error(file, pointer)
        yield int(key), _to_token(value, pointer, file, special=False)


def _read_added(path: Path, special: set[str]) -> Iterator[tuple[int, Token]]:
    held, _ = read_document(path, str(path))
    for text, number in held.items():
        if type(number) is not int or number < 0:
            raise _make_token_error(str(path), json_pointer([text]))
        marked = text in special
        token = make_added_token(number, text, special=marked, normalized=not marked)
        del token["id"]
        yield number, token


def _to_token(value: Any, pointer: str, file: str, *, special: bool = True) -> Token:
    """Return a token in full.

    Args:
        value: Its text, or an object with flags.
        pointer: Where it is in the file.
        file: The file, for messages.
        special: Whether it is special if it does not say so.
    """
    text = text_of(value)
    if not text:
        raise _make_token_error(file, pointer)
    held = value if isinstance(value, dict) else {}
    flags = {name: held.get(name, False) for name in _FLAGS}
    marked = special or held.get("special", False)
    normalized = held.get("normalized", not marked)
    if not all(isinstance(flag, bool) for flag in (*flags.values(), marked, normalized)):
        raise _make_token_error(file, pointer)
    token = make_added_token(0, text, special=marked, normalized=normalized, **flags)
    del token["id"]
    return token


def _make_token_error(file: str, pointer: str) -> FormatError:
    what = "has something other than a token of a tokenizer"
    fix = "restore the file, or open the model with `--option tokenizer=none`"
    return FormatError(Problem(file, pointer, what, fix, kind="foreign.vocabulary"))
