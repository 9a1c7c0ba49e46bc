"""The tokenizer of a data set of conversations: with a chat template, and the tokens it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.chat.shipped import SHIPPED, ShippedTemplate
from mypt.chat.special_text import find_special_texts
from mypt.chat.template import ChatTemplate
from mypt.data.prepare.chats.rendering import Renderer
from mypt.format.documents.special_tokens import END_OF_TEXT
from mypt.format.errors import ConfigError, Problem
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypt.data.prepare.chats.turns import Chat
    from mypt.plugins.contracts import Tokenizer
    from mypt.plugins.manager import Plugins

_PLAIN, _MYPT, _EOS = "plain", "mypt", "eos"


def make_renderer(tokenizer: Tokenizer, chosen: str | None, plugins: Plugins) -> Renderer:
    """Return what renders conversations, with a tokenizer that has all tokens it needs.

    Args:
        tokenizer: The tokenizer.
        chosen: Name of a template that ships with mypt, or a file with one in Jinja; None for that
            of the tokenizer, else MyPT's where it has its marks, else the plain one.
        plugins: Where the kind of the tokenizer is looked up.

    Raises:
        ConfigError: There is no such template, or it cannot be used.
    """
    made = _give_template(tokenizer, chosen, plugins)
    roles = made.state().get("special_tokens") or {}
    begins = roles.get("bos") or () if made.state().get("add_bos") else ()
    return Renderer(
        ChatTemplate.of(made), roles[_EOS][0], tuple(begins), as_turns=chosen is not None
    )


def list_texts(chats: Iterable[Chat], chosen: str | None, plugins: Plugins) -> Iterator[str]:
    """Yield all texts of conversations as they are rendered, to train a new tokenizer on.

    Special tokens are left out. A vocabulary that has every text, GPT-2's, tells where they are.
    """
    renderer = make_renderer(plugins.tokenizer("gpt2").train(""), chosen, plugins)
    tokenizer = renderer.template.tokenizer
    special = {*find_special_texts(tokenizer).values()}
    for chat in chats:
        held: list[int] = []
        for number in renderer.render(chat).ids.tolist():
            if number not in special:
                held.append(number)
            elif held:
                yield tokenizer.decode(held)
                held = []
        if held:
            yield tokenizer.decode(held)


def _give_template(tokenizer: Tokenizer, chosen: str | None, plugins: Plugins) -> Tokenizer:
    """Return a tokenizer with the template, its tokens, and one that ends a text."""
    state = tokenizer.state()
    if chosen is None and state.get("chat_template"):
        return _extend(tokenizer, (), {_EOS: END_OF_TEXT}, plugins)
    shipped = SHIPPED[_choose_default(tokenizer)] if chosen is None else SHIPPED.get(chosen)
    if shipped is None:
        source = _read_template(chosen or "")
        return _extend(tokenizer, (), {_EOS: END_OF_TEXT}, plugins, source)
    needed = {_EOS: END_OF_TEXT, **shipped.roles}
    return _extend(_fix_roles(tokenizer, shipped, plugins), (), needed, plugins, shipped.source)


def _fix_roles(tokenizer: Tokenizer, shipped: ShippedTemplate, plugins: Plugins) -> Tokenizer:
    """Return a tokenizer with the tokens of a template, and the roles that they have in it.

    What ends a turn or a text already goes on to do so.
    """
    roles = {}
    for role, text in shipped.fixed_roles.items():
        had = _list_role(tokenizer, role)
        is_several = role in ("bos", _EOS, "turn_end")
        roles[role] = (text,) if not is_several else had if text in had else (text, *had)
    wanted = NewTokens(tuple(dict.fromkeys((*shipped.tokens, *sum(roles.values(), ())))), roles)
    return extend_tokenizer(tokenizer, wanted, plugins)


def _extend(
    tokenizer: Tokenizer,
    texts: tuple[str, ...],
    roles: dict[str, str],
    plugins: Plugins,
    source: str | None = None,
) -> Tokenizer:
    """Return a tokenizer with tokens for the roles that it has none for, and a template."""
    missing = {role: (text,) for role, text in roles.items() if not _list_role(tokenizer, role)}
    wanted = NewTokens((*texts, *(text for (text,) in missing.values())), missing)
    if not wanted.texts and source in (None, tokenizer.state().get("chat_template")):
        return tokenizer
    return extend_tokenizer(tokenizer, wanted, plugins, chat_template=source)


def _list_role(tokenizer: Tokenizer, role: str) -> tuple[str, ...]:
    """Return the texts of the tokens with a role."""
    value: Any = (tokenizer.state().get("special_tokens") or {}).get(role)
    numbers = [value] if isinstance(value, int) else value or ()
    return tuple(tokenizer.decode([number]) for number in numbers)


def _choose_default(tokenizer: Tokenizer) -> str:
    special = tokenizer.state().get("special_token_encoder") or {}
    return _MYPT if all(text in special for text in SHIPPED[_MYPT].tokens) else _PLAIN


def _read_template(name: str) -> str:
    """Read a template from a file.

    Raises:
        ConfigError: There is none.
    """
    try:
        return Path(name).read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        what = f"is {name!r}, which is neither a file with a template nor the name of one"
        fix = f"choose from {', '.join(SHIPPED)}, or name a file"
        raise ConfigError(Problem("", "chat_template", what, fix, kind="chat.template")) from error
