"""What a plugin offers: factories, and the shape of the things they build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import field, frozen

from mypt.format.errors import ConfigError, Problem
from mypt.format.layout import Shape, no_tensors

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from mypt.format.documents.config import GPTConfig

Options = Mapping[str, Any]
JsonSchema = Mapping[str, Any]


class Tokenizer(Protocol):
    """Text to ids and back.

    Attributes:
        token_kind: The name it is registered under, as `tokenizer.json` carries it.
        n_vocab: Number of ids; every id in 0 ... n_vocab - 1 may come out of `encode`.
        vocab_size: Rows a new model gets for it; at least `n_vocab`.
    """

    @property
    def token_kind(self) -> str: ...  # noqa: D102
    @property
    def n_vocab(self) -> int: ...  # noqa: D102
    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Give the ids of `text`.

        Raises:
            DataError: The text holds something that the vocabulary lacks.
        """
        ...

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Give the ids of a long text, (N,) uint32; equal to `encode`."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Give the text of `ids`; an id without text becomes U+FFFD."""
        ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Give the UTF-8 bytes of `ids`, which may end inside a character."""
        ...

    def state(self) -> dict[str, Any]:
        """Give the fields of `tokenizer.json` from which `build` makes an equal tokenizer."""
        ...


@runtime_checkable
class DivisibleTokenizer(Protocol):
    """What a `Tokenizer` may offer beyond: long texts are then encoded in pieces, in parallel."""

    def cut(self, text: str, start: int) -> int | None:
        """Give the first place at or after `start` where the text may be cut in two.

        The ids of the two parts, one after the other, are those of the text as it is and of every
        longer one that begins with it. None if no place within the text is sure to be one.
        """
        ...


@frozen
class TokenizerFactory:
    """A tokenizer on offer.

    Attributes:
        token_kind: Its name in `tokenizer.json` and on the command line.
        build: Makes it from the fields of `tokenizer.json`.
        train: Makes a new one from the whole text that a model will be trained on.
        train_pieces: Makes the same one from the text in pieces, which may together be larger than
            memory; without it they are joined.
        options: JSON Schema of its section in `tokenizer.json`.
        train_options: JSON Schema of what a user may say of the training, in the section of its
            package in `plugins` of a preset. Where it is given, `train` and `train_pieces` take
            that section as a second argument.
    """

    token_kind: str
    build: Callable[[Mapping[str, Any]], Tokenizer]
    train: Callable[..., Tokenizer] = field(kw_only=True)
    train_pieces: Callable[..., Tokenizer] | None = field(default=None, kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)
    train_options: JsonSchema | None = field(default=None, kw_only=True)

    def trained_on(self, pieces: Iterable[str], options: Options | None = None) -> Tokenizer:
        """Make a new tokenizer from a text in pieces.

        Args:
            pieces: The text.
            options: What the user says of the training.

        Raises:
            ConfigError: The options do not fit `train_options`.
        """
        given = () if self.train_options is None else (_check_train_options(options or {}, self),)
        if self.train_pieces is None:
            return self.train("".join(pieces), *given)
        return self.train_pieces(pieces, *given)


def _check_train_options(options: Options, factory: TokenizerFactory) -> Options:
    from mypt.format.schema.messages import explain_option_error, json_pointer
    from mypt.format.schema.validator import make_validator

    problems = [
        Problem("", f"plugins{json_pointer(error.absolute_path)}", *explain_option_error(error))
        for error in make_validator(factory.train_options or {}).iter_errors(dict(options))
    ]
    if problems:
        raise ConfigError(*problems)
    return options


@frozen
class PartFactory:
    """An architecture part on offer.

    Attributes:
        slot: The config field that chooses it: one of `mypt.format.layout.SLOTS`.
        name: Its value in that field.
        build: Makes the module; `mypt.plugins.parts` says what each slot's module must do.
        tensors: Names and shapes of its parameters, relative to its place, in their order.
        options: JSON Schema of its settings: the section of its package in `plugins` of a config.
    """

    slot: str
    name: str
    build: Callable[[GPTConfig], nn.Module]
    tensors: Callable[[GPTConfig], dict[str, Shape]] = no_tensors
    options: JsonSchema = field(factory=dict, kw_only=True)


@frozen
class Evaluation:
    """One evaluation, as a gold guard sees it.

    Attributes:
        step: Optimizer updates done.
        train_loss: Mean loss on the training split, nats per token.
        val_loss: Mean loss on the validation split, nats per token.
        eval_losses: Mean loss of each further evaluation set, by name.
    """

    step: int
    train_loss: float
    val_loss: float
    eval_losses: Mapping[str, float] = field(factory=dict)


@frozen
class Verdict:
    """What a guard says of an evaluation.

    Attributes:
        reason: Why this model must not become gold; None lets it pass.
        memory: What the guard wants to know at the next evaluation, as JSON can say it.
    """

    reason: str | None
    memory: Mapping[str, Any]


# A pure function of an evaluation and of its own memory (empty before the first evaluation), so
# that a resumed run decides as the unbroken one.
GoldGuard = Callable[[Evaluation, Mapping[str, Any]], Verdict]


@frozen
class GuardFactory:
    """A gold guard on offer.

    Attributes:
        name: Its name in `gold_guards` and in the guards' memory.
        build: Makes the guard from its options.
        options: JSON Schema of its options.
        default: Whether it also judges runs whose `gold_guards` do not name it. A plugin leaves
            this off, so that installing it changes no run.
    """

    name: str
    build: Callable[[Options], GoldGuard]
    options: JsonSchema = field(factory=dict, kw_only=True)
    default: bool = field(default=False, kw_only=True)


class LogSink(Protocol):
    """Takes the events of a run, in order."""

    def emit(self, event: Mapping[str, Any]) -> None:
        """Take one event; `event["event"]` says which (see the reference of events)."""
        ...

    def close(self) -> None:
        """Flush and release; called once, also after a failed run."""
        ...


@frozen
class RunInfo:
    """What a log sink may want to know of the run it listens to.

    Attributes:
        model_name: Name of the model.
        log_file: Where the run's JSON lines go; None where it keeps no log.
        start_step: The step this run begins from.
        evaluated_step: The step that was evaluated last before it.
        resumed: Whether it goes on from a checkpoint.
        quiet: Whether the caller wants nothing printed.
        options: What the run says under the sink's name in `log_sinks`.
    """

    model_name: str
    log_file: Path | None
    start_step: int = 0
    evaluated_step: int = 0
    resumed: bool = False
    quiet: bool = False
    options: Options = field(factory=dict)


@frozen
class SinkFactory:
    """A log sink on offer.

    Attributes:
        name: Its name in `log_sinks` and in messages.
        build: Makes the sink for a run, or None where this run does not want it.
        options: JSON Schema of its options.
        default: Whether it also hears runs whose `log_sinks` do not name it. A plugin leaves this
            off, so that installing it changes no run.
    """

    name: str
    build: Callable[[RunInfo], LogSink | None]
    options: JsonSchema = field(factory=dict, kw_only=True)
    default: bool = field(default=False, kw_only=True)
