"""The vocabulary of a new model: with the special tokens that its data or its settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.chat.message import USER, Message
from mypt.chat.own_words import lacks_words
from mypt.chat.special_text import find_special_texts
from mypt.chat.template import ChatTemplate
from mypt.data.dataset import has_episodes, read_text_rules, read_tokenizer_state
from mypt.data.metadata import STATE_FILE
from mypt.format.documents.special_tokens import list_places
from mypt.format.documents.tokenizer import TEXT_FIELDS
from mypt.format.errors import ConfigError, DataError, MyptError, Problem, format_count
from mypt.tokenizers.added_tokens import build_from_state
from mypt.tokenizers.chat_template import give_template
from mypt.tokenizers.extension import (
    FIELD,
    NewTokens,
    describe_difference,
    extend_tokenizer,
    find_new_ids,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins

# The settings of a new model that no other run of it can change.
OF_NEW_MODELS = (FIELD, "chat_template")


def widen_tokenizer(
    tokenizer: Tokenizer, training: TrainingConfig, folders: Iterable[str], plugins: Plugins
) -> Tokenizer:
    """Return the tokenizer of a new model, with what its data sets and its settings add.

    Args:
        tokenizer: That of the model it begins with, or a new one.
        training: Its settings.
        folders: The data sets that it is trained on.
        plugins: Where tokenizers are looked up.

    Raises:
        ConfigError: A special token cannot be one, or there is no such template.
        DataError: A data set has special tokens, and is not made with this tokenizer otherwise, or
            its conversations were rendered by another chat template than the model gets.
    """
    folders = sorted(folders, key=has_episodes)  # stable; what renders conversations decides
    for folder in folders:
        tokenizer = _adopt(tokenizer, folder, plugins)
    if training.special_tokens:
        wanted = NewTokens.of(training.special_tokens)
        tokenizer = extend_tokenizer(tokenizer, wanted, plugins)
    if training.chat_template is not None:
        tokenizer = give_template(tokenizer, training.chat_template, plugins)
    _check_templates(tokenizer, folders)
    return tokenizer


def describe_widening(tokenizer: Tokenizer, before: Tokenizer) -> Iterator[str]:
    """Yield what a tokenizer has that it had not before, a line each."""
    new, state, old = find_new_ids(tokenizer, before), tokenizer.state(), before.state()
    roles = _name_roles(state.get("special_tokens") or {})
    if new:
        texts = {number: text for text, number in find_special_texts(tokenizer).items()}
        told = (
            f"{texts[number]} {number}" + (f" ({roles[number]})" if number in roles else "")
            for number in new
        )
        count = format_count(len(new), "special token")
        yield f"The vocabulary gets {count}: {', '.join(told)}"
    if state.get("chat_template") != old.get("chat_template"):
        yield "The model gets a chat template"
        yield from describe_lacking(ChatTemplate.of(tokenizer))


def refuse_changes(asked: Mapping[str, Any], saved: TrainingConfig) -> None:
    """Raise if the run of a saved model is asked for other special tokens or another template.

    Args:
        asked: The settings asked for, by name.
        saved: Those of the model.

    Raises:
        ConfigError: It is.
    """
    for name in OF_NEW_MODELS:
        if asked.get(name) and asked[name] != getattr(saved, name):
            what = "is for a new model, and this one has a vocabulary"
            fix = "leave it out, or begin a new model with its weights: --init_from_model"
            raise ConfigError(Problem("", name, what, fix, kind="special_tokens.saved"))


def _adopt(tokenizer: Tokenizer, folder: str, plugins: Plugins) -> Tokenizer:
    """Return a tokenizer with the special tokens, roles and template of a data set.

    One without a template and without more tokens adds nothing, and is checked when it is opened.
    """
    theirs, ours = read_tokenizer_state(folder), tokenizer.state()
    has_template = theirs.get("chat_template") not in (None, ours.get("chat_template"))
    added = theirs.get("special_token_encoder") or {}
    more = {text for text in added if text not in find_special_texts(tokenizer)}
    if not more and not has_template:
        return tokenizer
    read_text_rules(folder)  # raises if they cannot be
    added = {**(ours.get("special_token_encoder") or {}), **added}
    difference = describe_difference({**theirs, "special_token_encoder": added}, ours)
    if difference is not None:
        if not more:
            return tokenizer
        what = f"is not that of the model with more special tokens: {difference}"
        fix = "prepare the data with --from_model, or train a new model on it"
        raise DataError(Problem(f"{folder}/{STATE_FILE}", "", what, fix, kind="data.tokenizer"))
    told = {name: theirs[name] for name in TEXT_FIELDS if theirs.get(name)}
    roles = {**(ours.get("special_tokens") or {}), **told.get("special_tokens", {})}
    state = {**ours, **told, "special_tokens": roles, "special_token_encoder": added}
    return build_from_state(state, plugins)


def _check_templates(tokenizer: Tokenizer, folders: Iterable[str]) -> None:
    """Raise if conversations were rendered by another template than that of the new model.

    Raises:
        DataError: Some were, so that it would be talked to otherwise than it learns.
    """
    chosen = tokenizer.state().get("chat_template")
    for folder in filter(has_episodes, folders):
        theirs = read_tokenizer_state(folder).get("chat_template")
        if theirs not in (None, chosen):
            what = "was made with another chat template than the model gets"
            fix = "leave --chat_template out, or prepare all conversations with the same template"
            where = f"{folder}/{STATE_FILE}"
            problem = Problem(where, "/chat_template", what, fix, kind="data.template")
            raise DataError(problem)


def _name_roles(tokens: Mapping[str, Any]) -> dict[int, str]:
    named: dict[int, list[str]] = {}
    for place, number in list_places(tokens):
        named.setdefault(number, []).append(str(place[0]))
    return {number: ", ".join(roles) for number, roles in named.items()}


def describe_lacking(template: ChatTemplate) -> Iterator[str]:
    """Yield a line if a vocabulary lacks what its chat template writes around a question."""
    try:
        template.encode([Message(role=USER, content="")], add_generation_prompt=True)
    except MyptError as error:  # others are of this conversation, which nobody had
        if lacks_words(error):
            yield f"The model cannot be talked with: {error.problems[0]}"
