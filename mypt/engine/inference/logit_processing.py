"""Apply the logit processors that a generation names, each text with its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mypt.format.errors import ConfigError, PluginError, Problem
from mypt.model.decoding.sampling_options import SHORTHANDS
from mypt.plugins.decoding.logit_processors import EndingLogitProcessor
from mypt.plugins.selection import check_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mypt.engine.inference.continuation import GenerationSettings
    from mypt.engine.language_model import LanguageModel
    from mypt.plugins.decoding.logit_processors import BeginText, LogitProcessor

FIELD = "processors"


class TextProcessors:
    """The logit processors of one text.

    Attributes:
        stop_tokens: The tokens before which the text ends; their texts by id. Those of the user,
            and with a processor that decides when a text ends also those of the vocabulary.
    """

    def __init__(
        self,
        processors: Mapping[str, LogitProcessor],
        stop_tokens: Mapping[int, str],
        end_tokens: Mapping[int, str],
    ) -> None:
        """Take what has been made for this text.

        Args:
            processors: By name, in order.
            stop_tokens: Those of the user.
            end_tokens: Those of the vocabulary.
        """
        self._ending = {
            name: one for name, one in processors.items() if isinstance(one, EndingLogitProcessor)
        }
        self._others = {name: one for name, one in processors.items() if name not in self._ending}
        self.stop_tokens = {**end_tokens, **stop_tokens} if self._ending else dict(stop_tokens)

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self._others or self._ending)

    def apply(self, logits: Tensor, ids: Sequence[int]) -> Tensor:
        """Return the logits of the next token.

        Args:
            logits: Those of the model, (V,) float32, -inf for ids without text; may be changed.
            ids: The new tokens so far.

        Raises:
            ConfigError: The processors leave no token.
            PluginError: One of them fails.
        """
        for name, processor in self._others.items():
            logits = _call(name, processor, logits, ids)
        if self._ending:
            ends = [*self.stop_tokens]
            kept = logits[ends].clone()
            for name, ending in self._ending.items():
                logits = _call(name, ending, logits, ids)
            if all(ending.is_complete(ids) for ending in self._ending.values()):
                logits[ends] = kept
        if not bool((logits > float("-inf")).any()):
            names = ", ".join([*self._others, *self._ending])
            what = f"leave no token that could follow after {len(ids)} new tokens: {names}"
            fix = "ask for less, such as fewer banned words or a wider schema"
            raise ConfigError(Problem("", FIELD, what, fix, kind="sampling"))
        return logits

    def find_end(self, ids: Sequence[int]) -> str | None:
        """Return the processor after whose demands nothing can follow; None to go on."""
        done = (name for name, ending in self._ending.items() if ending.is_done(ids))
        return next(done, None)

    def list_unfinished(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the processors for which a text of these new tokens is not whole."""
        return tuple(name for name, one in self._ending.items() if not one.is_complete(ids))


@frozen
class LogitProcessing:
    """The logit processors of a generation, ready to begin texts."""

    _begin: Mapping[str, BeginText]
    _stop_tokens: Mapping[int, str]
    _end_tokens: Mapping[int, str]

    def __bool__(self) -> bool:
        """Return whether there are any processors."""
        return bool(self._begin)

    def begin(self, prompt_ids: Sequence[int]) -> TextProcessors:
        """Make the processors of the text that continues a prompt."""
        made = {name: begin(prompt_ids) for name, begin in self._begin.items()}
        return TextProcessors(made, self._stop_tokens, self._end_tokens)


def prepare_processing(model: LanguageModel, settings: GenerationSettings) -> LogitProcessing:
    """Look up and build the logit processors that the settings name.

    Raises:
        PluginError: No plugin offers one of them.
        ConfigError: Options do not match their schema, or cannot be met by this vocabulary.
    """
    named, tokenizer = settings.sampling.processors, settings.tokenizer
    factories = {name: model.plugins.logit_processor(name) for name in named}
    problems = [
        problem
        for name, factory in factories.items()
        for problem in check_options(_place(name), named[name], factory.options)
    ]
    if problems:
        raise ConfigError(*problems)
    begin = {name: one.build(named[name], tokenizer) for name, one in factories.items()}
    ends = model.end_ids if begin else ()
    texts = {number: tokenizer.decode([number]) for number in ends}
    return LogitProcessing(begin, settings.ending.stop_tokens, texts)


def _place(name: str) -> str:
    """Return what a user calls a processor: its own argument, or a key of `processors`."""
    return name if name in SHORTHANDS else f"{FIELD}/{name}"


def _call(name: str, processor: LogitProcessor, logits: Tensor, ids: Sequence[int]) -> Tensor:
    shape = logits.shape
    changed = processor(logits, ids)
    if changed.shape != shape:
        what = f"returns logits of the shape {tuple(changed.shape)}, not {tuple(shape)}"
        fix = "report it to its author; mypt.testing.check_logit_processor shows it"
        raise PluginError(Problem("", _place(name), what, fix, kind="plugin"))
    return changed
