"""The tokenizer of a data set of conversations: with a chat template, and the tokens it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.shipped import SHIPPED
from mypt.chat.special_text import find_special_texts
from mypt.chat.template import ChatTemplate
from mypt.data.prepare.chats.rendering import Renderer
from mypt.format.documents.special_tokens import END_OF_TEXT
from mypt.tokenizers.chat_template import give_template
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.data.prepare.chats.turns import Chat
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

_EOS = "eos"


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
    """Return a tokenizer with a template, its tokens, and one that ends a text."""
    state = tokenizer.state()
    if chosen is not None or not state.get("chat_template"):
        return give_template(tokenizer, chosen or _choose_default(state), plugins)
    if (state.get("special_tokens") or {}).get(_EOS):
        return tokenizer
    return extend_tokenizer(tokenizer, NewTokens.of({_EOS: END_OF_TEXT}), plugins)


def _choose_default(state: Mapping[str, Any]) -> str:
    special = state.get("special_token_encoder") or {}
    return "mypt" if SHIPPED["mypt"].fits(special) else "plain"
