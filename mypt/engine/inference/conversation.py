"""Talk with a model: the conversation so far, and answers that cost what is new in it alone."""

from __future__ import annotations

import logging
from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.chat.message import ASSISTANT, SYSTEM, USER, Message, count_leading, list_turns
from mypt.engine.inference.answer import Answer
from mypt.engine.inference.chat_messages import MESSAGES, list_questions
from mypt.engine.inference.continuation import Ending, GenerationSettings
from mypt.engine.inference.text import stream, with_seed
from mypt.format.errors import ConfigError, Problem, format_count
from mypt.format.rules.arguments import TEXT, checked, optional, whole_number
from mypt.model.decoding.prefix_cache import PrefixCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from mypt.chat.template import ChatTemplate
    from mypt.engine.language_model import LanguageModel
    from mypt.model.decoding.sampling_options import Sampling

_LOGGER = logging.getLogger("mypt")
_NUMBER = optional(whole_number(1))


@frozen(kw_only=True)
class ChatSettings:
    """How answers are made.

    Attributes:
        sampling: How to choose tokens.
        max_new_tokens: Maximum number of tokens of an answer.
        stop: Strings before which an answer ends.
        stop_tokens: Tokens before which it ends, besides those that end a turn.
    """

    sampling: Sampling
    max_new_tokens: int
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int | str, ...] = ()


class Chat:
    """A conversation with a model.

    What is said is `messages`. Where they do not fit into the model's context beside room for an
    answer, the model no longer sees the oldest turns: a question, and what follows up to the next
    one. The system prompt stays. Keys and values are kept from one answer to the next, so that an
    answer costs what is new in the conversation, and its own tokens.

    Attributes:
        model: The model.
        template: Its chat template.
        settings: How answers are made.
        n_unseen: Number of messages that the model did not see for the last answer.
        report: Called with a sentence for the user, once, when there are such messages.
    """

    def __init__(
        self,
        model: LanguageModel,
        template: ChatTemplate,
        settings: ChatSettings,
        messages: Sequence[Message] = (),
        report: Callable[[str], object] = _LOGGER.warning,
    ) -> None:
        """Begin with messages, which may be none."""
        self.model, self.template, self.settings, self.report = model, template, settings, report
        self.n_unseen = 0
        self._messages = tuple(messages)
        self._prefix = PrefixCache()
        self._number = 0  # of the last answer, among those to the same question
        self._has_reported = False
        self._answer: Answer | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said so far, with the system prompt."""
        self._end_answer()
        return self._messages

    @property
    def system(self) -> str | None:
        """The system prompt; None without."""
        first = next(iter(self._messages), None)
        return first.content if first is not None and first.role == SYSTEM else None

    @checked(number=_NUMBER)
    def question(self, number: int | None = None) -> str:
        """Return what the user said.

        Args:
            number: Which question, 1 is the first; None for the last.

        Raises:
            ConfigError: There is no such question.
        """
        return self.messages[self._find_question(number)].content

    @checked(text=TEXT)
    def ask(self, text: str) -> str:
        """Say something, and return the answer.

        Raises:
            ConfigError: It is too long for the model's context, or an option is out of range.
            DataError: The vocabulary lacks one of its characters.
        """
        return _finish(self.stream(text))

    @checked(text=TEXT)
    def stream(self, text: str) -> Answer:
        """Say something, and return the answer piece by piece; see `ask`."""
        return self._begin((*self.messages, Message(role=USER, content=text)))

    @checked()
    def answer(self) -> Answer:
        """Return an answer to the conversation as it is, piece by piece.

        Raises:
            ConfigError: The last to speak was the assistant; or as `ask`.
        """
        if self.messages and self.messages[-1].role == ASSISTANT:
            what, fix = "end in an answer", "ask something, or call `regenerate`"
            raise ConfigError(Problem("", "messages", what, fix, kind="chat.question"))
        return self._begin(self.messages)

    @checked()
    def regenerate(self) -> Answer:
        """Return another answer to the last question, piece by piece; it replaces the last one.

        Raises:
            ConfigError: There is no question.
        """
        messages = self.messages[: self._find_question() + 1]
        return self._begin(messages, number=self._number + 1)

    @checked(text=TEXT, number=_NUMBER)
    def edit(self, text: str, number: int | None = None) -> Answer:
        """Replace a question and all that follows it, and return the answer piece by piece.

        Args:
            text: The new question.
            number: Which one to replace, 1 is the first; None for the last.

        Raises:
            ConfigError: There is no such question; or as `ask`.
        """
        place = self._find_question(number)
        return self._begin((*self.messages[:place], Message(role=USER, content=text)))

    @checked()
    def undo(self) -> None:
        """Take back the last question and what follows it.

        Raises:
            ConfigError: There is no question.
        """
        self._set(self.messages[: self._find_question()])

    @checked()
    def clear(self) -> None:
        """Begin anew, with the same system prompt."""
        self._set(self.messages[: self._count_leading()])

    @checked(messages=MESSAGES)
    def replace(self, messages: Iterable[Message | Mapping[str, Any]]) -> None:
        """Go on with another conversation, of messages as `GPT.chat` takes them."""
        self._set(messages)  # type: ignore[arg-type]  # the rule made messages of them

    @checked(text=optional(TEXT))
    def set_system(self, text: str | None) -> None:
        """Set the system prompt, or remove it.

        Raises:
            ConfigError: The template has no place for one.
            DataError: The vocabulary lacks one of its characters.
        """
        rest = self.messages[self._count_leading() :]
        lead = () if text is None else (Message(role=SYSTEM, content=text),)
        self.template.encode((*lead, Message(role=USER, content="")), add_generation_prompt=True)
        self._messages = (*lead, *rest)

    def _begin(self, messages: tuple[Message, ...], number: int = 0) -> Answer:
        """Begin an answer to messages; nothing changes where they cannot be encoded."""
        before, settings = self._messages, self._make_settings()
        ids, n_unseen = self._encode(messages)
        pieces = stream(self.model, ids, settings, sample=number, prefix=self._prefix)
        self._messages, self._number = messages, number
        self._report_unseen(n_unseen)

        def keep(text: str | None) -> None:
            self._answer = None
            answered = Message(role=ASSISTANT, content=text or "")
            self._messages = before if text is None else (*messages, answered)

        seed = settings.sampling.seed or 0
        self._answer = Answer(pieces, self.template, ids, seed, self._prefix, keep)
        return self._answer

    def _make_settings(self) -> GenerationSettings:
        given, tokenizer = self.settings, self.model.need_tokenizer()
        stops = (*self.template.stops, *given.stop_tokens)
        settings = GenerationSettings(
            tokenizer=tokenizer,
            sampling=given.sampling,
            ending=Ending.of(tokenizer, given.max_new_tokens, given.stop, stops),
        )
        return with_seed(settings)

    def _encode(self, messages: tuple[Message, ...]) -> tuple[tuple[int, ...], int]:
        """Return the prompt of messages, without the oldest turns if it would be too long.

        Returns:
            Its ids, and how many messages are left out.

        Raises:
            ConfigError: The last question alone, with the system prompt, is too long.
        """
        context = self.model.config.block_size
        room = min(self.settings.max_new_tokens, context // 2)
        roles = [message.role for message in messages]
        lead, places = count_leading(roles), list_turns(roles)

        def encode(turn: int) -> tuple[int, ...]:
            seen = (*messages[:lead], *messages[places[turn] :])
            return self.template.encode(seen, add_generation_prompt=True).ids

        turn = bisect_left(range(len(places)), True, key=lambda n: len(encode(n)) <= context - room)
        if turn == len(places):
            n_tokens = len(encode(turn - 1))
            what = f"is {format_count(n_tokens, 'token')} long with the system prompt and marks"
            fix = f"shorten it: the context holds {context}, of which {room} are for the answer"
            raise ConfigError(Problem("", "question", what, fix, kind="chat.length"))
        return encode(turn), places[turn] - lead

    def _report_unseen(self, n_unseen: int) -> None:
        self.n_unseen = n_unseen
        if n_unseen and not self._has_reported:
            self._has_reported = True
            context = self.model.config.block_size
            self.report(
                f"the conversation does not fit into the context of {context} tokens any more: the "
                "model no longer sees its oldest turns"
            )

    def _end_answer(self) -> None:
        if self._answer is not None:
            self._answer.close()

    def _count_leading(self) -> int:
        return count_leading([message.role for message in self.messages])

    def _set(self, messages: Sequence[Message]) -> None:
        self._end_answer()
        self._messages = tuple(messages)

    def _find_question(self, number: int | None = None) -> int:
        """Return where a question is in `messages`.

        Raises:
            ConfigError: There is no such question.
        """
        places = list_questions(self.messages)
        if not places:
            what = "there is no question yet"
            raise ConfigError(Problem("", "", what, "ask one", kind="chat.question"))
        if number is None or number <= len(places):
            return places[-1 if number is None else number - 1]
        is_one = len(places) == 1
        what = f"is {number}, and there {'is' if is_one else 'are'} "
        fix = f"make it 1{'' if is_one else f' to {len(places)}'}"
        what += format_count(len(places), "question")
        raise ConfigError(Problem("", "number", what, fix, kind="chat.question"))


def _finish(answer: Answer) -> str:
    for _ in answer:
        pass
    return answer.text
