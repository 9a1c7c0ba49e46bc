"""Give a tokenizer special tokens that it does not have yet, and roles to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, fields, frozen

from mypt.chat.special_text import encode_ordinary, find_special_texts
from mypt.format.documents.special_tokens import SpecialTokens
from mypt.format.errors import ConfigError, MyptError, Problem
from mypt.format.rules.requirements import REQUIRES
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

FIELD = "special_tokens"
# Among the roles of a setting: tokens without one.
ADDITIONAL = "additional"
ROLES = tuple(a.name for a in fields(SpecialTokens) if a.name != "extra")
SEVERAL = ("bos", "eos", "turn_end")


@frozen
class NewTokens:
    """The special tokens that a tokenizer is to have; those that it has keep their ids.

    Attributes:
        texts: All of them, in the order in which new ids are given.
        roles: The texts of tokens with a role, by the role; only `bos`, `eos` and `turn_end` may
            have several.
    """

    texts: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(factory=dict)

    @classmethod
    def of(cls, setting: Mapping[str, str | Sequence[str]]) -> NewTokens:
        """Return those of a setting such as `{"turn_end": "<|end|>", "additional": ["<x>"]}`.

        Raises:
            ConfigError: A role is unknown, has no token or too many; or a text is empty or twice
                there.
        """
        problems = [*_find_problems(setting)]
        if problems:
            raise ConfigError(*problems)
        named = {role: _as_texts(value) for role, value in setting.items()}
        texts = tuple(dict.fromkeys(text for several in named.values() for text in several))
        return cls(texts, {role: several for role, several in named.items() if role != ADDITIONAL})


def extend_tokenizer(
    tokenizer: Tokenizer,
    wanted: NewTokens,
    plugins: Plugins,
    *,
    chat_template: str | None = None,
) -> Tokenizer:
    """Return a tokenizer with further special tokens, roles and a template of conversations.

    All ids that there were stay as they are; new ones follow the last of the vocabulary.

    Args:
        tokenizer: The tokenizer.
        wanted: The special tokens.
        plugins: Where its kind is looked up.
        chat_template: The source of the template; None leaves what there is.

    Raises:
        ConfigError: A text is an ordinary token of the vocabulary, which any text may hold.
    """
    state, ids = tokenizer.state(), dict[str, int]()
    added = dict(state.get("special_token_encoder") or {})
    special, following = find_special_texts(tokenizer), tokenizer.n_vocab
    for text in wanted.texts:
        known = special.get(text)
        if known is None:
            known = _find_special_id(tokenizer, text)
        if known is None:
            known = added[text] = following
            following += 1
        ids[text] = known
    roles = {
        role: [ids[text] for text in texts] if role in SEVERAL else ids[texts[0]]
        for role, texts in wanted.roles.items()
    }
    before = state.get("special_tokens") or {}
    state = {**state, "special_token_encoder": added, "special_tokens": {**before, **roles}}
    if chat_template is not None:
        state["chat_template"] = chat_template
    return build_from_state(state, plugins)


def find_new_ids(tokenizer: Tokenizer, before: Tokenizer) -> list[int]:
    """Return the ids that a tokenizer gives texts to and another one did not, in their order."""
    had = set((before.state().get("special_token_encoder") or {}).values())
    return sorted({*(tokenizer.state().get("special_token_encoder") or {}).values()} - had)


def describe_difference(wider: Mapping[str, Any], state: Mapping[str, Any]) -> str | None:
    """Return why a tokenizer does not extend another one; None where it does.

    It does if every id means the same: it is of the same kind and vocabulary, and has at least the
    same special tokens.

    Args:
        wider: Fields of `tokenizer.json` of the one that may have more.
        state: Those of the other.
    """
    for name in ("token_kind", "chars", "plugins", REQUIRES):
        if (wider.get(name) or None) != (state.get(name) or None):
            return f"its {name} differs"
    had, has = (fields.get("special_token_encoder") or {} for fields in (state, wider))
    for text, number in had.items():
        if has.get(text) != number:
            return f"{text!r} is not its token {number}"
    if len({*has.values()}) < len(has):
        return "two of its special tokens have one id"
    return None


def _find_special_id(tokenizer: Tokenizer, text: str) -> int | None:
    """Return the id of a special token of the tokenizer's own; None where the text is none.

    Raises:
        ConfigError: It is an ordinary token.
    """
    try:
        spelt = tokenizer.encode(text)
        ordinary = encode_ordinary(tokenizer, text).tolist()
    except MyptError:  # the vocabulary lacks its characters
        return None
    if len(spelt) != 1 or tokenizer.decode(spelt) != text:
        return None
    if spelt == ordinary:
        what = f"names {text!r}, which is an ordinary token that any text may hold"
        fix = "choose a longer text, such as <|end|>"
        raise ConfigError(Problem("", FIELD, what, fix, kind="special_tokens.ordinary"))
    return spelt[0]


def _find_problems(setting: Mapping[str, str | Sequence[str]]) -> Iterator[Problem]:
    for role, value in setting.items():
        texts, where = _as_texts(value), f"{FIELD}/{role}"
        if role not in (*ROLES, ADDITIONAL):
            fix = f"choose from {', '.join((*ROLES, ADDITIONAL))}"
            yield Problem("", where, "is no role of a token", fix, kind="special_tokens.role")
        elif not texts or not all(texts) or len(set(texts)) < len(texts):
            what, fix = "names no token, an empty one or one twice", "name each by its text, once"
            yield Problem("", where, what, fix, kind="special_tokens.text")
        elif len(texts) > 1 and role not in (*SEVERAL, ADDITIONAL):
            what, fix = f"names {len(texts)} tokens, and can be one", "name one"
            yield Problem("", where, what, fix, kind="special_tokens.text")


def _as_texts(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
