"""Give a tokenizer a chat template, and the special tokens that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.chat.shipped import SHIPPED, ShippedTemplate
from mypt.format.documents.special_tokens import END_OF_TEXT
from mypt.format.errors import ConfigError, Problem
from mypt.tokenizers.extension import SEVERAL, NewTokens, extend_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

FIELD = "chat_template"


def give_template(tokenizer: Tokenizer, chosen: str, plugins: Plugins) -> Tokenizer:
    """Return a tokenizer with a chat template, its tokens, and one that ends a text.

    Args:
        tokenizer: The tokenizer.
        chosen: Name of a template that ships with mypt, or a file with one in Jinja.
        plugins: Where the kind of the tokenizer is looked up.

    Raises:
        ConfigError: There is no such template.
    """
    shipped = SHIPPED.get(chosen)
    if shipped is None:
        return _extend(tokenizer, {"eos": END_OF_TEXT}, plugins, read_template(chosen))
    needed = {"eos": END_OF_TEXT, **shipped.roles}
    return _extend(_fix_roles(tokenizer, shipped, plugins), needed, plugins, shipped.source)


def _fix_roles(tokenizer: Tokenizer, shipped: ShippedTemplate, plugins: Plugins) -> Tokenizer:
    """Return a tokenizer with the tokens of a template, and the roles that they have in it.

    What ends a turn or a text already goes on to do so.
    """
    roles: dict[str, tuple[str, ...]] = {}
    for role, text in shipped.fixed_roles.items():
        had = _list_role(tokenizer, role) if role in SEVERAL else ()
        roles[role] = had if text in had else (text, *had)
    texts = (*shipped.tokens, *(text for several in roles.values() for text in several))
    wanted = NewTokens(tuple(dict.fromkeys(texts)), roles)
    return extend_tokenizer(tokenizer, wanted, plugins)


def _extend(
    tokenizer: Tokenizer, roles: Mapping[str, str], plugins: Plugins, source: str
) -> Tokenizer:
    """Return a tokenizer with a template, and a token for each role that it has none for."""
    missing = {role: (text,) for role, text in roles.items() if not _list_role(tokenizer, role)}
    wanted = NewTokens(tuple(text for (text,) in missing.values()), missing)
    return extend_tokenizer(tokenizer, wanted, plugins, chat_template=source)


def _list_role(tokenizer: Tokenizer, role: str) -> tuple[str, ...]:
    """Return the texts of the tokens with a role."""
    value: Any = (tokenizer.state().get("special_tokens") or {}).get(role)
    numbers = [value] if isinstance(value, int) else value or ()
    return tuple(tokenizer.decode([number]) for number in numbers)


def read_template(chosen: str) -> str:
    """Return the template that a name or a file stands for, in Jinja.

    Raises:
        ConfigError: It is neither.
    """
    if chosen in SHIPPED:
        return SHIPPED[chosen].source
    try:
        return Path(chosen).read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        what = f"is {chosen!r}, which is neither a file with a template nor the name of one"
        fix = f"choose from {', '.join(SHIPPED)}, or name a file"
        raise ConfigError(Problem("", FIELD, what, fix, kind="chat.template")) from error
