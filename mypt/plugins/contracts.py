"""The factories that a plugin offers, and the protocols of what they build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol, runtime_checkable

from attrs import field, frozen

from mypt.format.errors import ConfigError, Problem
from mypt.format.layout import TWO_NORMS, PartLayout, Shape, no_tensors
from mypt.format.optimizers.declaration import Declaration, StateOf, keep_nothing
from mypt.format.rules.arguments import where

if TYPE_CHECKING:
    from pathlib import Path

    import click
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingConfig, TrainingState
    from mypt.format.rules.plugin_settings import SettingsOrigin

Options = Mapping[str, Any]
JsonSchema = Mapping[str, Any]


class Tokenizer(Protocol):
    """Converts text to ids and back.

    Attributes:
        token_kind: The name it is registered under, as in `tokenizer.json`.
        n_vocab: Number of ids; `encode` may return any id in 0 ... n_vocab - 1.
        vocab_size: The vocab_size of a new model that uses it; at least `n_vocab`.
    """

    @property
    def token_kind(self) -> str: ...  # noqa: D102
    @property
    def n_vocab(self) -> int: ...  # noqa: D102
    @property
    def vocab_size(self) -> int: ...  # noqa: D102

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text`.

        Raises:
            DataError: The text contains something that the vocabulary lacks.
        """
        ...

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32; equal to `encode`."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`, a whole text; ids without text become U+FFFD."""
        ...

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the UTF-8 bytes that `ids` add to a text before them.

        They may end in the middle of a character. Where the tokens of a text are joined by spaces,
        they begin with a space that `decode` leaves out.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Return the fields of `tokenizer.json` from which `build` makes an equal tokenizer.

        Of a new vocabulary also `special_tokens`, `add_bos` and `chat_template`, where it has them:
        mypt keeps those, puts `bos` before texts, and does not ask `build` to know them.
        """
        ...


# The rule of an argument that must be one; not every method is asked for.
TOKENIZER = where(
    lambda value: all(hasattr(value, name) for name in ("encode_array", "decode", "n_vocab")),
    "a tokenizer, such as model.need_tokenizer()",
)


@runtime_checkable
class DivisibleTokenizer(Protocol):
    """A `Tokenizer` that can also encode long texts in pieces, in parallel."""

    def cut(self, text: str, start: int) -> int | None:
        """Return the first position at or after `start` where the text may be cut in two.

        The ids of the two parts, concatenated, must be those of the whole, for this text and for
        every longer text that begins with it. None if no position is certain to satisfy this.
        """
        ...


@runtime_checkable
class GuardedTokenizer(Protocol):
    """A `Tokenizer` that can take what spells a special token for ordinary text."""

    def encode_ordinary(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a long text, (N,) uint32, without any special token.

        As `encode_array`, if the vocabulary had no special tokens. Where a tokenizer lacks this,
        mypt cuts a text within what spells one.
        """
        ...


@runtime_checkable
class ExportableTokenizer(Protocol):
    """A `Tokenizer` that `mypt export --to hf` can write for `transformers`."""

    def to_hugging_face(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the documents of a tokenizer with the same ids and texts.

        Returns:
            By the name of its file without `.json`: `tokenizer`, as Hugging Face's `tokenizers`
            reads it; and where there is something to say beyond `special_tokens`, `add_bos` and the
            chat templates of `state`, `tokenizer_config` and `generation_config`.

        Raises:
            FormatError: `tokenizers` cannot do the same.
        """
        ...


@frozen(kw_only=True)
class VersionedFactory:
    """What every factory may say of its past, so that what was saved then opens as of today.

    Attributes:
        former_names: Names that it was offered under before. One that something else is offered
            under now is that.
        former_packages: Packages that offered it before this one, by the names they are installed
            by. Where one of them is still installed and offers it too, this one is used.
        update: Returns settings as they are written today, from those that were saved, whatever
            wrote them: `update(settings, origin)`, with a `SettingsOrigin`. It is asked whenever
            settings are read, also those of today, which it returns as they are.
    """

    former_names: tuple[str, ...] = ()
    former_packages: tuple[str, ...] = ()
    update: Callable[[Options, SettingsOrigin], Options] | None = None


@frozen
class TokenizerFactory(VersionedFactory):
    """A tokenizer that a plugin offers; see also `VersionedFactory`.

    Attributes:
        token_kind: Its name in `tokenizer.json` and on the command line.
        build: Builds it from the fields of `tokenizer.json`.
        train: Makes a new one from the whole text that a model will be trained on.
        train_pieces: Makes the same one from the text in pieces, which together may be larger than
            memory; if None, the pieces are joined.
        options: JSON Schema of its section in `tokenizer.json`.
        train_options: JSON Schema of the training settings, which a user gives in the section of
            its package in `plugins` of a preset. If it is not None, `train` and `train_pieces` take
            that section as a second argument. A property `vocab_size` in it is the largest number
            of tokens, which `--vocab_size` sets as well.
    """

    token_kind: str
    build: Callable[[Mapping[str, Any]], Tokenizer]
    train: Callable[..., Tokenizer] = field(kw_only=True)
    train_pieces: Callable[..., Tokenizer] | None = field(default=None, kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)
    train_options: JsonSchema | None = field(default=None, kw_only=True)

    @property
    def train_properties(self) -> Mapping[str, Any]:
        """The training settings, with the JSON Schema of each."""
        properties: Mapping[str, Any] = (self.train_options or {}).get("properties", {})
        return properties

    def trained_on(self, pieces: Iterable[str], options: Options | None = None) -> Tokenizer:
        """Make a new tokenizer from a text in pieces.

        Args:
            pieces: The text.
            options: The user's training settings.

        Raises:
            ConfigError: The options do not match `train_options`.
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
class PartFactory(VersionedFactory):
    """An architecture part that a plugin offers; see also `VersionedFactory`.

    `build` and `tensors` take the config, and by name those of these arguments that they name:

    * `layer`, both: the number of the layer that the part is in, 0 ... n_layer - 1; None outside of
      layers. A part whose tensors differ between layers names it in both.
    * `make_norm`, `build`: a function without arguments that makes a norm of the config, in that
      layer, for a part that has norms. `norm`, `tensors`: the tensors of one, relative to it.
    * `make_block`, `build` of a `stack_type`: a function from a layer to a block of the config.
      `block`, `tensors` of a `stack_type`: the tensors of a block in that layer, relative to it. A
      stack that names `block` is made of blocks. For one that does not, `attention_type`,
      `mlp_type` and `block_type` of the config mean nothing.

    Attributes:
        slot: The config field that selects it: one of `mypt.format.layout.SLOTS`.
        name: Its value in that field.
        build: Builds the module; `mypt.plugins.parts` specifies what each slot's module must do.
        tensors: Names, relative to the part, and shapes of its parameters, in order. Those of a
            stack that names `layer` or `block` are, for a layer, the tensors of that layer,
            relative to it, and for None the others, which come before those of the layers.
        options: JSON Schema of its settings: the section of its package in `plugins` of a config.
        norms: Of a `block_type`, the attributes that mypt sets to norms, in the order of their
            parameters.
    """

    slot: str
    name: str
    build: Callable[..., nn.Module]
    tensors: Callable[..., dict[str, Shape]] = no_tensors
    options: JsonSchema = field(factory=dict, kw_only=True)
    norms: tuple[str, ...] = field(default=TWO_NORMS, kw_only=True)

    @property
    def layout(self) -> PartLayout:
        """What the format knows of it."""
        return PartLayout(self.tensors, self.norms)


@frozen
class OptimizerFactory(VersionedFactory):
    """An optimizer that a plugin offers; see also `VersionedFactory`.

    What goes on after a resume is what `optimizer.state` holds for each parameter, and the settings
    of the groups that `progress` names; an optimizer keeps nothing elsewhere.

    Attributes:
        name: Its value in `optimizer` of a training config.
        build: Builds it from the parameters by name and the hyperparameters of the run. Each
            parameter is in one of its groups, also one that is frozen, whose gradient is None. The
            `lr` of a group is the peak of its schedule.
        state: Returns what it keeps for a parameter once it has updated it, from the parameter and
            the settings of its group. Needs no torch.
        settings: Names of the hyperparameters of its groups, beside `lr` and `name`. They are saved
            with the state, and are those of `build` again when a run goes on.
        progress: Names of the settings of its groups that its updates change: numbers, such as a
            counter.
            They are saved, and go on from there.
        options: JSON Schema of `optimizer_options` of a training config.
    """

    name: str
    build: Callable[[Mapping[str, nn.Parameter], TrainingConfig], Optimizer]
    state: StateOf = keep_nothing
    settings: tuple[str, ...] = field(default=(), kw_only=True)
    progress: tuple[str, ...] = field(default=(), kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)

    @property
    def declaration(self) -> Declaration:
        """What it keeps, for what needs no torch."""
        return Declaration(state=self.state, settings=self.settings, progress=self.progress)


# Where the learning rate of the update that follows `step` updates stands, from 0 (`min_lr`) to 1
# (the peak). A pure function of the step, so that a resumed run has the rates of one that was never
# stopped.
Schedule = Callable[[int], float]


@frozen
class ScheduleFactory(VersionedFactory):
    """A learning-rate schedule that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its value in `lr_schedule` of a training config.
        build: Builds it from the hyperparameters of the run, `max_iters`, `warmup_steps` and
            `lr_schedule_options` among them. `min_lr` and the linear warm-up are mypt's: with f
            for what the schedule returns, the rate is min_lr + f (peak - min_lr), and in the
            warm-up that part of it.
        options: JSON Schema of `lr_schedule_options`.
        min_lr_fraction: The share of the peak that is `min_lr` where a run names none.
        decay_step: Returns the updates done when a decay begins, of which a run keeps a numbered
            copy, so that a longer run can go on from there; None for a schedule without one.
    """

    name: str
    build: Callable[[TrainingConfig], Schedule]
    min_lr_fraction: float = field(default=0.0, kw_only=True)
    decay_step: Callable[[TrainingConfig], int] | None = field(default=None, kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)


class TokenLoss(Protocol):
    """The loss of each position, which training makes small; evaluation is always cross entropy.

    It is called for some positions at a time, so that the logits of all never exist where the
    vocabulary is wide. The loss of a position must depend on nothing but its logits and target.
    """

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the losses of some positions.

        Args:
            logits: (N, vocab_size), floating; N is a part of the positions of a batch.
            targets: The ids to predict, (N,) int64, each in 0 ... vocab_size - 1.

        Returns:
            (N,), differentiable, in nats where it is a cross entropy.
        """
        ...


@frozen
class LossFactory(VersionedFactory):
    """A training loss that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its value in `loss` of a training config.
        build: Builds it from `loss_options`. Import torch inside. One that returns a
            `mypt.plugins.CrossEntropy` has its gradient computed in closed form; that of any other
            is computed by autograd.
        options: JSON Schema of `loss_options`.
    """

    name: str
    build: Callable[[Options], TokenLoss]
    options: JsonSchema = field(factory=dict, kw_only=True)


class SourceFile(Protocol):
    """A file or folder that a user names, or a file of such a folder, for what may read it.

    Attributes:
        path: Its path; `Path("-")` for the standard input.
        name: Its base name without the suffix of a compression: `a.jsonl` for `a.jsonl.gz`.
        is_folder: Whether it is a folder.
        head: Its first bytes, unpacked, up to 4096; none of a folder.
    """

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def is_folder(self) -> bool: ...  # noqa: D102
    @property
    def head(self) -> bytes: ...  # noqa: D102

    def open(self) -> BinaryIO:
        """Open it from its beginning; a compressed file yields what it was made of.

        Reading raises a `DataError` where a compressed file is damaged. It can be sought in; but in
        a compressed file, a place before the current one is reached by beginning anew.
        """
        ...


# A text; one that may not fit into memory as the pieces of it.
Document = str | Iterable[str]


@frozen
class DataSourceFactory(VersionedFactory):
    """A form of files with texts to train on that a plugin reads; see also `VersionedFactory`.

    Attributes:
        name: Its name in `data_source` of a training config, and in messages.
        recognises: Returns whether it reads a file or folder, by its name and its first bytes.
            Asked about each file or folder that a user names, and about what is in a folder that
            nobody reads as a whole; mypt's own sources first, but `text`, which reads all that
            nobody else does, last.
        read: Yields the documents of a file or folder, in order, with options that match `options`;
            called again for each pass, with the same result. It reads as it goes, so that memory
            stays flat. Empty documents are left out by mypt.
        options: JSON Schema of `data_options`.
    """

    name: str
    recognises: Callable[[SourceFile], bool] = field(kw_only=True)
    read: Callable[[SourceFile, Options], Iterable[Document]] = field(kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)


@frozen(kw_only=True)
class ModelToExport:
    """A model that an exporter writes.

    Attributes:
        config: Its architecture.
        weights: Its tensors by mypt's names, on the CPU, tied ones under both.
        tokenizer: Its vocabulary; None where it has none.
        training_state: How it was trained; None where nothing is known of it.
        losses: Those of its last evaluation by split, `train` and `val`, in nats per token; without
            what is not known.
        remarks: What is to be told of it, a line each.
        build_tokenizer: Builds its tokenizer; raises a `FormatError` or a `PluginError` where there
            is none, or its plugin is not here.
    """

    config: GPTConfig
    weights: Mapping[str, Tensor]
    tokenizer: TokenizerState | None
    training_state: TrainingState | None
    losses: Mapping[str, float]
    remarks: tuple[str, ...]
    build_tokenizer: Callable[[], Tokenizer]


@frozen
class ExporterFactory:
    """A form of another program that a plugin writes.

    Attributes:
        name: Its name behind `--to`.
        title: The program, for help texts and reports, such as `Hugging Face`.
        explain: Returns why a model of a config cannot be written, each problem with the nearest
            setting that can; none if it can. Needs no torch: it is asked before training as well.
        write: Writes a model of a config that it can to a path that does not exist, as a file or
            a folder, with options that match `options`; returns notes on what was folded or left
            out, one line each. The path is beside the real one: mypt renames it when it is
            complete.
        options: JSON Schema of the options: the names that `--option` takes.
        takes_adapters: Whether it writes adapters and nothing else: `explain` and `write` get the
            config and the tensors of one as they are. Any other exporter gets them merged with
            their base.
    """

    noun: ClassVar[str] = "exporter"

    name: str
    title: str
    explain: Callable[[GPTConfig], Sequence[Problem]] = field(kw_only=True)
    write: Callable[[ModelToExport, Path, Options], Sequence[str]] = field(kw_only=True)
    options: JsonSchema = field(factory=dict, kw_only=True)
    takes_adapters: bool = field(default=False, kw_only=True)


@frozen
class CommandFactory:
    """A command that a plugin adds to `mypt`.

    Attributes:
        name: The word behind `mypt` that calls it: small letters, digits and hyphens.
        help: What it does, one line for `mypt --help`.
        load: Imports and returns it. Called when the command runs: what is heavy is imported in it,
            or better, in the command. mypt turns what the command raises into one line: a
            `MyptError` for what a user can mend.
    """

    name: str
    help: str
    load: Callable[[], click.Command]


@frozen
class Evaluation:
    """The results of one evaluation, as passed to a gold guard.

    Attributes:
        step: Number of optimizer updates done.
        train_loss: Mean loss on the training split, nats per token.
        val_loss: Mean loss on the validation split, nats per token.
        eval_losses: Mean loss on each additional evaluation set, by name.

    A loss is NaN or infinite where the model diverged, and NaN where nothing was to be learnt.
    """

    step: int
    train_loss: float
    val_loss: float
    eval_losses: Mapping[str, float] = field(factory=dict)


@frozen
class Verdict:
    """A guard's decision on an evaluation.

    Attributes:
        reason: Why this model must not become gold; None allows it.
        memory: State that the guard needs at the next evaluation; must be JSON-serializable.
    """

    reason: str | None
    memory: Mapping[str, Any]


# A pure function of an evaluation and of its own memory (empty before the first evaluation), so
# that a resumed run makes the same decisions as an uninterrupted one.
GoldGuard = Callable[[Evaluation, Mapping[str, Any]], Verdict]


@frozen
class GuardFactory(VersionedFactory):
    """A gold guard that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its name in `gold_guards` and in the guards' memory.
        build: Builds the guard from its options.
        options: JSON Schema of its options.
        default: Whether it also applies to runs whose `gold_guards` do not name it. A plugin leaves
            this False, so that installing it does not change any run.
    """

    name: str
    build: Callable[[Options], GoldGuard]
    options: JsonSchema = field(factory=dict, kw_only=True)
    default: bool = field(default=False, kw_only=True)


class LogSink(Protocol):
    """Receives the events of a run, in order."""

    def emit(self, event: Mapping[str, Any]) -> None:
        """Receive one event; `event["event"]` is its kind (see the reference of events)."""
        ...

    def close(self) -> None:
        """Flush and release resources; called once, even after a failed run."""
        ...


@runtime_checkable
class ResumableSink(Protocol):
    """A `LogSink` that needs something when its run goes on, such as a number that it has there."""

    def state(self) -> Mapping[str, Any]:
        """Return what `RunInfo.state` is when the run goes on from the save that begins now.

        Called before each save. What was emitted before should be on disk when it returns, since a
        run that goes on from that save does not emit it again.

        Returns:
            A JSON object of at most 64 KiB. It is saved in `training_state.json`, for all to read
            who get the model.
        """
        ...


@frozen
class RunInfo:
    """What a log sink may need to know about its run.

    Attributes:
        model_name: Name of the model.
        log_file: The file of the run's JSON lines; None if it keeps no log.
        start_step: The step this run begins from.
        evaluated_step: The last step that was evaluated before this run.
        resumed: Whether the run continues from a checkpoint.
        quiet: Whether the caller wants nothing printed.
        options: The run's options for the sink, from `log_sinks`.
        run_id: Identity of the run, which each resume keeps; None where it has none.
        state: What `ResumableSink.state` returned when the run was saved; empty at its beginning.
            A run that begins anew from a model, or trains a copy, begins with none.
    """

    model_name: str
    log_file: Path | None
    start_step: int = 0
    evaluated_step: int = 0
    resumed: bool = False
    quiet: bool = False
    options: Options = field(factory=dict)
    run_id: str | None = None
    state: Mapping[str, Any] = field(factory=dict)


@frozen
class SinkFactory(VersionedFactory):
    """A log sink that a plugin offers; see also `VersionedFactory`.

    Attributes:
        name: Its name in `log_sinks` and in messages.
        build: Builds the sink for a run; returns None if this run does not need it.
        options: JSON Schema of its options.
        default: Whether it also receives runs whose `log_sinks` do not name it. A plugin leaves
            this False, so that installing it does not change any run.
    """

    name: str
    build: Callable[[RunInfo], LogSink | None]
    options: JsonSchema = field(factory=dict, kw_only=True)
    default: bool = field(default=False, kw_only=True)
