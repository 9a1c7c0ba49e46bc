"""Chat templates: what makes the tokens of a conversation, as Hugging Face's tokenizers have it."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.chat.answers import Span, lay_out, lay_out_prompt, take_marks
from mypt.chat.guard import Guard, find_private
from mypt.chat.message import ASSISTANT, USER, Message
from mypt.chat.own_words import refuse_words
from mypt.chat.pieces import Pieces
from mypt.chat.rendering import Rendering
from mypt.chat.sandbox.render import PLACE, compile_template, find_variables_read
from mypt.chat.shipped import SHIPPED, find_shipped_name, find_template
from mypt.chat.special_text import OrdinaryEncoder
from mypt.chat.stops import stop_tokens
from mypt.chat.template_tokens import find_template_tokens, find_variables
from mypt.format.errors import ConfigError, DataError, MyptError, Problem, suggestion
from mypt.format.rules.arguments import (
    FLAG,
    MAPPING,
    TEXT,
    checked,
    instance_of,
    optional,
    sequence_of,
)
from mypt.plugins.contracts.tokenizer import TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypt.plugins.contracts.tokenizer import Tokenizer

_MESSAGES = sequence_of(instance_of("a Message", Message), "Messages")
_PROBE = "Probe"
_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_HOW_TO_GET_ONE = (
    "tune it on some: `mypt data chats FILES --output DIR --from_model NAME --chat_template "
    f"{next(iter(SHIPPED))}`, then `mypt train --init_from_model NAME --dataset_dir DIR`"
)


@frozen(kw_only=True)
class EncodedChat:
    """A conversation in tokens.

    Attributes:
        ids: The ids, special tokens included.
        weights: How much the loss counts each of them as a target; other than 0 for what the
            assistant says and what ends its turn. All 0 of a prompt.
        turns: Where each message is in `ids`: its begin and its end; () of a prompt. A message that
            the template can render only together with the next one is empty, and part of that.
        text: The text. A special token looks in it like what spells one and is none.
    """

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    turns: tuple[Span, ...]
    text: str


@frozen(eq=False)
class ChatTemplate:
    """The chat template of a model, with the tokens that it writes.

    Attributes:
        source: The template, in Jinja.
        tokenizer: The tokenizer of the model.
        special: Ids of the special tokens, by their text; what a message says never becomes one.
    """

    source: str
    tokenizer: Tokenizer
    special: Mapping[str, int] = field(repr=False)

    @classmethod
    @checked(tokenizer=TOKENIZER, source=optional(TEXT))
    def of(cls, tokenizer: Tokenizer, source: str | None = None) -> ChatTemplate:
        """Return the chat template of a tokenizer.

        Args:
            tokenizer: The tokenizer, with what its document says of its texts.
            source: Another template in Jinja, or the name of one that ships with mypt. Without it
                the tokenizer's own, or MyPT's where the vocabulary has its marks.

        Raises:
            ConfigError: There is none, it is no template, or the vocabulary lacks what it needs.
        """
        state = tokenizer.state()
        chosen = _choose_source(state, source)
        compile_template(chosen)
        made = cls(chosen, tokenizer, find_template_tokens(tokenizer, chosen))
        _check_vocabulary(made)
        return made

    @property
    def name(self) -> str | None:
        """Name of the template if it ships with mypt, such as `chatml`; None for another."""
        return find_shipped_name(self.source)

    @cached_property
    def stops(self) -> tuple[int, ...]:
        """The ids that end an answer: those with such a role, and the one that is written there."""
        known = stop_tokens(self.tokenizer.state())
        return tuple(dict.fromkeys((*known, *self._example.ends)))

    @checked(variable=TEXT)
    def reads(self, variable: str) -> bool:
        """Return whether the template reads a variable, such as `tools`."""
        return variable in find_variables_read(self.source)

    @checked(messages=_MESSAGES, add_generation_prompt=FLAG, variables=optional(MAPPING))
    def encode(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = False,
        variables: Mapping[str, Any] | None = None,
    ) -> EncodedChat:
        """Return the tokens of a conversation.

        Args:
            messages: What was said.
            add_generation_prompt: Whether the assistant is to answer: the ids end with what begins
                its turn, just as ids to train with go before an answer, and have no weights.
            variables: What else the template may read, such as `tools`, as JSON values.

        Raises:
            ConfigError: The template fails, or the vocabulary lacks what it writes itself.
            DataError: The vocabulary lacks a character; or, without `add_generation_prompt`, the
                template does not let it be told where the answers are, or how they end.
        """
        rendering = self._render(messages, variables or {}).settle(
            add_generation_prompt=add_generation_prompt
        )
        chars = rendering.guard.char_of
        stops = "".join(chars[text] for text, n in self.special.items() if n in self.stops)
        layout = (lay_out_prompt if add_generation_prompt else lay_out)(rendering, stops)
        cuts = {place for _, span in layout.answers for place in span}
        pieces = Pieces(self.encoder, self.special, {char: text for text, char in chars.items()})
        try:
            ids, places = pieces.encode(layout.text, cuts)
        except DataError:
            refuse_words(rendering, self.encoder)
            raise

        def find(span: Span) -> Span:
            """Return where characters are in the ids; a place within a piece is its end."""
            begin, end = (bisect_left(places, (place, 0)) for place in span)
            return places[begin][1], places[end][1]

        turns = tuple(map(find, layout.turns))
        weights = [0.0] * len(ids)
        if not add_generation_prompt:
            answers = [(number, find(span)) for number, span in layout.answers]
            self._check_ends(ids, answers)
            for begin, end, weight in _weigh(messages, turns, answers):
                weights[begin:end] = [weight] * (end - begin)
        text = pieces.spell(layout.text)
        return EncodedChat(ids=tuple(ids), weights=tuple(weights), turns=turns, text=text)

    @checked(text=TEXT)
    def read_answer(self, text: str) -> str:
        """Return what the assistant says in a text that a model wrote up to the end of its turn.

        That is the text, without what the template itself writes before it, such as a space.
        """
        return text.removeprefix(self._example.before)

    def _check_ends(self, ids: Sequence[int], answers: Iterable[tuple[int, Span]]) -> None:
        """Raise if a model would not learn to end one of the answers."""
        ended: dict[int, bool] = {}
        for number, (begin, end) in answers:
            ends = not set(self.stops).isdisjoint(ids[begin:end])
            ended[number] = ended.get(number, False) or ends
        if not all(ended.values()):
            what = "cannot be trained with: it writes no special token at the end of an answer"
            fix = "write the token that ends a turn there, or choose another with --chat_template"
            raise DataError(Problem(*PLACE, what, fix, kind="chat.template"))

    def _render(self, messages: Sequence[Message], given: Mapping[str, Any]) -> Rendering:
        for number, one in enumerate(messages):
            if not _ROLE.fullmatch(one.role):
                what, fix = f"is {one.role!r:.40}, which is no name", "use one such as user"
                raise DataError(Problem("", f"/messages/{number}/role", what, fix, "chat.role"))
        read = [{**one.fields, "role": one.role, "content": one.content} for one in messages]
        private = find_private([read, given])
        guard = Guard.of(self.special, self._private | private) if private else self._guard
        return Rendering(self.source, guard, read, given, self._variables)

    @cached_property
    def _example(self) -> _Example:
        """A conversation whose texts are known, so that it shows what the template writes."""
        said = (Message(role=USER, content=_PROBE), Message(role=ASSISTANT, content=_PROBE))
        rendering = self._render(said, {})
        id_of = {char: self.special[text] for text, char in rendering.guard.char_of.items()}
        try:
            prompt, _ = take_marks(rendering, rendering.text(1, add_generation_prompt=True))
            text, _ = take_marks(rendering, rendering.text())
        except MyptError:  # such as one that wants another conversation
            return _Example()
        before, _, after = text.removeprefix(prompt).rpartition(_PROBE)
        return _Example(
            before=before if text.startswith(prompt) else "",
            ends=tuple(id_of[char] for char in after.lstrip()[:1] if char in id_of),
        )

    @cached_property
    def _variables(self) -> dict[str, str]:
        return find_variables(self.tokenizer)

    @cached_property
    def _private(self) -> frozenset[str]:
        return find_private(self.source)

    @cached_property
    def _guard(self) -> Guard:
        return Guard.of(self.special, self._private)

    @cached_property
    def encoder(self) -> OrdinaryEncoder:
        """What encodes text that is no special token."""
        return OrdinaryEncoder.of(self.tokenizer, self.special)


@frozen
class _Example:
    """What a template writes around what the assistant says.

    Attributes:
        before: Between the prompt and what it says, such as a space.
        ends: The special token that follows directly.
    """

    before: str = ""
    ends: tuple[int, ...] = ()


def _weigh(
    messages: Sequence[Message], turns: Sequence[Span], answers: Iterable[tuple[int, Span]]
) -> Iterator[tuple[int, int, float]]:
    """Yield the spans of ids that have a weight; of another than the assistant a whole turn."""
    for number, (begin, end) in answers:
        weight = messages[number].weight
        yield begin, end, 1.0 if weight is None else float(weight)
    for message, (begin, end) in zip(messages, turns, strict=True):
        if message.role != ASSISTANT and message.weight:
            yield begin, end, float(message.weight)


def _choose_source(state: Mapping[str, Any], given: str | None) -> str:
    if given is not None:
        if given in SHIPPED:
            return SHIPPED[given].source
        if "{" not in given:
            what = f"is {given!r:.60}, which is neither a template nor the name of one"
            fix = f"use one of {', '.join(SHIPPED)}{suggestion(given, SHIPPED)}"
            raise ConfigError(Problem("", "chat_template", what, fix, kind="chat.template"))
        return given
    own = find_template(state.get("chat_template"), state.get("special_token_encoder") or {})
    if own is not None:
        return own
    what = "is null: this model was not trained on conversations"
    raise ConfigError(Problem(*PLACE, what, _HOW_TO_GET_ONE, kind="chat.none"))


def _check_vocabulary(template: ChatTemplate) -> None:
    shipped = SHIPPED.get(template.name or "")
    if shipped is None:
        return
    lacking = [text for text in shipped.tokens if text not in template.special]
    lacking += [
        f"{role} (such as {text})"
        for role, text in shipped.roles.items()
        if f"{role}_token" not in find_variables(template.tokenizer)
    ]
    if lacking:
        what = f"is {shipped.name}, but the vocabulary lacks {', '.join(lacking)}"
        fix = "add the special tokens with --special_tokens, or choose another template"
        raise ConfigError(Problem(*PLACE, what, fix, kind="chat.tokens"))
