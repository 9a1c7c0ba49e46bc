"""Read the data that a run is trained and evaluated on, as its hyperparameters specify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.curriculum import DEFAULT_PHASE, DataPhase, Phases
from mypt.data.dataset import read_text_rules, read_tokenizer_state
from mypt.data.input_files import STDIN, open_input, read_input, sources_of
from mypt.data.sources.choice import SourceChoice
from mypt.data.sources.input_source import InputSource
from mypt.data.text import InputText
from mypt.format.documents.training import Phase
from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from mypt.data.new_tokenizer import NewTokenizer
    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts import Tokenizer
    from mypt.plugins.manager import Plugins


@frozen
class TrainingData:
    """The data that a run trains on, read but not yet tokenized.

    Attributes:
        phases: The phases, in order; just one for a run on a single data set.
        texts: The text of each phase; None for phases on token shards.
    """

    phases: tuple[Phase, ...]
    texts: tuple[InputText | None, ...]

    @property
    def text_bytes(self) -> int:
        """About how many bytes of text are to be tokenized; token shards need none of that."""
        return sum(text.size_bytes for text in self.texts if text is not None)

    def tokenizer(self, wanted: NewTokenizer, plugins: Plugins) -> Tokenizer:
        """Make the tokenizer of a new model: trained on all texts, or that of the shards.

        Args:
            wanted: What to train on texts.
            plugins: Where it is looked up.

        Raises:
            DataError: A data set does not say which tokenizer its ids belong to.
            PluginError: No plugin offers the tokenizer.
        """
        for phase in self.phases:
            if phase.dataset_dir is not None:
                state = read_tokenizer_state(phase.dataset_dir)
                return plugins.tokenizer(state["token_kind"]).build(state)
        pieces = (piece for text in self.texts if text is not None for piece in text.pieces())
        return wanted.train(pieces, plugins)

    def text_rules(self) -> TokenizerState | None:
        """Return what the first data set says of how texts are made; None without a data set.

        Raises:
            DataError: It does not fit.
        """
        folders = [phase.dataset_dir for phase in self.phases if phase.dataset_dir is not None]
        return read_text_rules(folders[0]) if folders else None

    def check_texts(self) -> None:
        """Raise if a text cannot be read.

        Raises:
            DataError: One cannot.
        """
        for text in self.texts:
            for _ in () if text is None else text.pieces():
                pass

    def load(self, config: GPTConfig, tokenizer: Tokenizer, training: TrainingConfig) -> Phases:
        """Tokenize the texts and open the shards.

        Raises:
            DataError: A phase has too little data, or it was prepared with another tokenizer.
        """
        loaded = []
        for phase, text in zip(self.phases, self.texts, strict=True):
            loader = GPTDataLoader(
                config,
                tokenizer,
                text=text,
                dataset_dir=phase.dataset_dir,
                sampling=training.sampling,
            )
            loaded.append(DataPhase(phase.name, phase.until_iter, loader))
        return Phases(tuple(loaded))


def read_training_data(training: TrainingConfig, plugins: Plugins) -> TrainingData:
    """Read the texts that a run trains on.

    Raises:
        DataError: A text cannot be read.
        ConfigError: An option is none of what reads the texts.
        PluginError: No plugin offers the data source that the run names.
    """
    choice = _choose_sources(training, plugins)
    whole = Phase(
        name=DEFAULT_PHASE, input_file=training.input_file, dataset_dir=training.dataset_dir
    )
    phases = training.curriculum or (whole,)
    texts = tuple(_read_phase_text(phase, choice) for phase in phases)
    choice.check_options(sources_of(text for text in texts if text is not None))
    return TrainingData(phases, texts)


def field_with_stdin(training: TrainingConfig) -> str | None:
    """Return the field that names the standard input as data to train on; None if none does."""
    if training.curriculum:
        return "curriculum" if any(STDIN in _list_inputs(p) for p in training.curriculum) else None
    return "input_file" if STDIN in _list_inputs(training) else None


def _choose_sources(training: TrainingConfig, plugins: Plugins) -> SourceChoice:
    return SourceChoice.of(plugins, training.data_source, training.data_options)


def _read_phase_text(phase: Phase, choice: SourceChoice) -> InputText | None:
    return None if phase.dataset_dir is not None else read_input(_list_inputs(phase), choice)


def _list_inputs(source: Phase | TrainingConfig) -> tuple[str, ...]:
    inputs = source.input_file or ()
    return (inputs,) if isinstance(inputs, str) else inputs


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
        name: _open_eval_loader(config, tokenizer, place, choice) for name, place in places.items()
    }


def _open_eval_loader(
    config: GPTConfig, tokenizer: Tokenizer, place: str, choice: SourceChoice
) -> GPTDataLoader:
    if Path(place).is_dir() and choice.find(InputSource(Path(place))) is None:
        return GPTDataLoader(config, tokenizer, dataset_dir=place, eval_only=True)
    text = InputText((open_input(place, choice),), place)
    return GPTDataLoader(config, tokenizer, text=text, eval_only=True)
