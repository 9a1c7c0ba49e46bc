"""Read the data that a run is trained and evaluated on, as its hyperparameters specify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.data.batches.contents import mix, open_dataset, read_text, validate_on
from mypt.data.batches.loader import GPTDataLoader, load_contents, make_packing_error
from mypt.data.curriculum import DEFAULT_PHASE, DataPhase, Phases
from mypt.data.dataset import has_episodes, is_dataset, read_text_rules, read_tokenizer_state
from mypt.data.input_files import (
    STANDARD_LIBRARY,
    STDIN,
    open_input,
    read_input,
    resolve_inputs,
    sources_of,
)
from mypt.data.sources.choice import SourceChoice
from mypt.data.sources.input_source import InputSource
from mypt.data.text import InputText
from mypt.format.documents.training import Phase
from mypt.format.errors import ConfigError, DataError, Problem
from mypt.format.storage.files import is_folder
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.data.batches.contents import Contents
    from mypt.data.new_tokenizer import NewTokenizer
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.tokenizer import Tokenizer
    from mypt.plugins.manager import Plugins


@frozen
class Part:
    """One of the sources that a phase trains on at once; most phases have just one.

    Attributes:
        source: Its name.
        share: Its share of the windows; only its ratio to the others counts.
        text: The text; None for a prepared data set.
    """

    source: str
    share: float
    text: InputText | None

    @property
    def folder(self) -> str | None:
        """The folder of a prepared data set; None for a text."""
        return self.source if self.text is None else None


@frozen
class TrainingData:
    """The data that a run trains on, read but not yet tokenized.

    Attributes:
        phases: The phases, in order; just one for a run on a single data set.
        parts: What each phase trains on.
        val_text: What is validated on; None for a part of what is trained on.
    """

    phases: tuple[Phase, ...]
    parts: tuple[tuple[Part, ...], ...]
    val_text: InputText | None = None

    @property
    def texts(self) -> tuple[InputText, ...]:
        """All texts."""
        parts = (part for phase in self.parts for part in phase)
        trained = (part.text for part in parts if part.text is not None)
        return (*trained, *(() if self.val_text is None else (self.val_text,)))

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders of prepared data sets."""
        parts = (part for phase in self.parts for part in phase)
        return tuple(part.folder for part in parts if part.folder is not None)

    @property
    def text_bytes(self) -> int:
        """About how many bytes of text are to be tokenized; token shards need none of that."""
        return sum(text.size_bytes for text in self.texts)

    def tokenizer(self, wanted: NewTokenizer, plugins: Plugins) -> Tokenizer:
        """Make the tokenizer of a new model: trained on all texts, or that of the shards.

        Args:
            wanted: What to train on texts.
            plugins: Where it is looked up.

        Raises:
            DataError: A data set does not say which tokenizer its ids belong to.
            PluginError: No plugin offers the tokenizer.
        """
        for folder in self.folders:
            read_text_rules(folder)  # raises if it says of texts what cannot be
            state = read_tokenizer_state(folder)
            return build_from_state(state, plugins)
        return wanted.train((piece for text in self.texts for piece in text.pieces()), plugins)

    def check_texts(self) -> None:
        """Raise if a text cannot be read.

        Raises:
            DataError: One cannot.
        """
        for text in self.texts:
            for _ in text.pieces():
                pass

    def load(self, config: GPTConfig, tokenizer: Tokenizer, training: TrainingConfig) -> Phases:
        """Tokenize the texts and open the shards.

        Raises:
            DataError: A phase has too little data, or it was prepared with another tokenizer.
            ConfigError: There are no episodes to pack.
        """
        held_out = None
        if self.val_text is not None:
            held_out = read_text(self.val_text, tokenizer, config, self.val_text.source, "all")
        loaded = []
        for phase, parts in zip(self.phases, self.parts, strict=True):
            is_all, packing = held_out is not None, training.packing
            contents = _load_parts(parts, config, tokenizer, is_all=is_all, packing=packing)
            if held_out is not None:
                contents = validate_on(contents, held_out)
            loader = load_contents(config, tokenizer, contents, training.sampling)
            loaded.append(DataPhase(phase.name, phase.until_iter, loader))
        if training.packing and not any(phase.loader.packing for phase in loaded):
            raise make_packing_error(loaded[0].loader.contents.source)
        return Phases(tuple(loaded))


def _load_parts(
    parts: Sequence[Part],
    config: GPTConfig,
    tokenizer: Tokenizer,
    *,
    is_all: bool,
    packing: bool,
) -> Contents:
    """Tokenize or open what a phase trains on.

    Args:
        parts: The sources.
        config: Holds `block_size` and `vocab_size`.
        tokenizer: The tokenizer of the model.
        is_all: Whether all of a text is trained on.
        packing: Whether several episodes share a row.
    """
    loaded = [
        open_dataset(part.source, tokenizer, config, part.source, packing=packing)
        if part.text is None
        else read_text(part.text, tokenizer, config, part.source, "none" if is_all else "tenth")
        for part in parts
    ]
    return loaded[0] if len(parts) == 1 else mix(loaded, [part.share for part in parts])


def read_training_data(training: TrainingConfig, plugins: Plugins) -> TrainingData:
    """Read the texts that a run trains on.

    Raises:
        DataError: A text cannot be read, or is trained on and validated on.
        ConfigError: An option is none of what reads the texts.
        PluginError: No plugin offers the data source that the run names.
    """
    choice = _choose_sources(training, plugins)
    whole = Phase(
        name=DEFAULT_PHASE,
        input_file=training.input_file,
        dataset_dir=training.dataset_dir,
        mixture=training.mixture,
    )
    phases = training.curriculum or (whole,)
    val_inputs = to_inputs(training.val_file)
    for phase in phases:
        _check_apart(_list_texts(phase, choice), val_inputs, choice)
    data = TrainingData(
        phases,
        tuple(tuple(_read_parts(phase, choice)) for phase in phases),
        read_input(val_inputs, choice) if val_inputs else None,
    )
    choice.check_options(sources_of(data.texts))
    return data


def field_with_stdin(training: TrainingConfig) -> str | None:
    """Return the field that names the standard input as data to train on; None if none does."""
    if STDIN in to_inputs(training.val_file):
        return "val_file"
    for phase in training.curriculum:
        if STDIN in to_inputs(phase.input_file) or STDIN in phase.mixture:
            return "curriculum"
    if STDIN in training.mixture:
        return "mixture"
    return "input_file" if STDIN in to_inputs(training.input_file) else None


def _choose_sources(training: TrainingConfig, plugins: Plugins) -> SourceChoice:
    return SourceChoice.of(plugins, training.data_source, training.data_options)


def _read_parts(phase: Phase, choice: SourceChoice) -> Iterator[Part]:
    for place, share in phase.mixture.items():
        text = None if _is_prepared(place, choice) else read_input([place], choice)
        yield Part(place if text is None else text.source, share, text)
    if phase.dataset_dir is not None:
        yield Part(phase.dataset_dir, 1.0, None)
    elif not phase.mixture:
        text = read_input(to_inputs(phase.input_file), choice)
        yield Part(text.source, 1.0, text)


def _is_prepared(place: str, choice: SourceChoice) -> bool:
    """Return whether a path is the folder of a prepared data set, not of texts."""
    return is_dataset(place) and choice.find(InputSource(Path(place))) is None


def _list_texts(phase: Phase, choice: SourceChoice) -> tuple[str, ...]:
    """Return the texts that a phase trains on, as they are named."""
    mixed = (place for place in phase.mixture if not _is_prepared(place, choice))
    return (*to_inputs(phase.input_file), *mixed)


def _check_apart(trained: Sequence[str], validated: Sequence[str], choice: SourceChoice) -> None:
    """Raise if a file is named twice, or is trained on and validated on.

    Raises:
        DataError: One is.
    """
    files = [name for name in (*trained, *validated) if name != STANDARD_LIBRARY]
    resolve_inputs(files, choice)  # names what is read twice
    if STANDARD_LIBRARY in trained and STANDARD_LIBRARY in validated:
        what, fix = "is trained on, and named to be validated on", "name another text for that"
        raise DataError(Problem(STANDARD_LIBRARY, "val_file", what, fix, kind="data.twice"))


def to_inputs(inputs: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return a field of inputs, of which there may be one, several or none, as a tuple."""
    return (inputs,) if isinstance(inputs, str) else inputs or ()


def load_eval_sets(
    config: GPTConfig, tokenizer: Tokenizer, training: TrainingConfig, plugins: Plugins
) -> dict[str, GPTDataLoader]:
    """Open the additional data sets of every evaluation, by name.

    Raises:
        ConfigError: Two have the same name.
        DataError: One cannot be read, or was prepared with another tokenizer.
    """
    places = dict(training.eval_sets)
    if training.eval_dataset_dir is not None:
        name = Path(training.eval_dataset_dir).absolute().name
        if name in places:
            what = f"has the name `{name}`, which eval_sets already uses"
            fix = "add it to eval_sets under another name, and omit eval_dataset_dir"
            raise ConfigError(Problem("", "eval_dataset_dir", what, fix, kind="eval.name"))
        places[name] = training.eval_dataset_dir
    choice = _choose_sources(training, plugins)
    return {
        name: _open_eval_loader(config, tokenizer, place, choice, packing=training.packing)
        for name, place in places.items()
    }


def _open_eval_loader(
    config: GPTConfig, tokenizer: Tokenizer, place: str, choice: SourceChoice, *, packing: bool
) -> GPTDataLoader:
    if is_folder(Path(place)) and choice.find(InputSource(Path(place))) is None:
        is_packed = packing and has_episodes(place)
        return GPTDataLoader(
            config, tokenizer, dataset_dir=place, eval_only=True, packing=is_packed
        )
    text = InputText((open_input(place, choice),), place)
    return GPTDataLoader(config, tokenizer, text=text, eval_only=True)
