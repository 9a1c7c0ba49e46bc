"""Apply a user's settings, checked against the same schemas as the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.construction import raise_field_errors
from mypt.format.documents.convert import (
    field_names,
    from_document,
    to_document,
    to_recorded_document,
)
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, Problem
from mypt.format.names.lookup import explain_name
from mypt.format.rules.arguments import PLAIN, check_arguments
from mypt.format.rules.documents import document_problems
from mypt.format.rules.plugin_settings import RUN_CHOICES
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.training import TrainingState
    from mypt.format.layout import Layouts

ARCHITECTURE_FIELDS = field_names(GPTConfig)
# The fields that select the training data, with their values if another one does.
_SOURCES: dict[str, Any] = {
    "input_file": None,
    "dataset_dir": None,
    "mixture": {},
    "curriculum": [],
}
TRAINING_FIELDS = field_names(TrainingConfig)


def override_training(given: Mapping[str, Any], saved: TrainingConfig) -> TrainingConfig:
    """Return the saved hyperparameters, overridden by those given.

    Args:
        given: Fields of `TrainingConfig` to override.
        saved: Values of the other fields; those that were not recorded remain so.

    Raises:
        ConfigError: A field is unknown, of the wrong type or out of range, or two kinds of data
            are given.
    """
    unknown = [name for name in given if name not in TRAINING_FIELDS]
    if unknown:
        raise ConfigError(
            *(
                Problem("", name, f"is not an option{_explain_option(name)}", "correct it")
                for name in unknown
            )
        )
    given = check_arguments(**{name: (value, PLAIN) for name, value in given.items()})
    document = {
        **to_recorded_document(saved, versioned=False),
        **_clear_other_data(given),
        **_clear_options(given, saved),
        **given,
    }
    state = {"format_version": FORMAT_VERSION, "step": 0, "training_config": document}
    raise_field_errors(document_problems("training_state", state, ""), "/training_config/")
    return evolve(from_document(TrainingConfig, document), extra=saved.extra)


def _explain_option(name: str) -> str:
    elsewhere = dict.fromkeys(ARCHITECTURE_FIELDS, "a field of GPTConfig")
    return explain_name(name, TRAINING_FIELDS, elsewhere)


def inherited_training(state: TrainingState) -> TrainingConfig:
    """Return the saved hyperparameters that a run takes over; a copy has a log of its own."""
    training = state.training_config
    return training if state.copy_of is None else evolve(training, log_file=None)


def _clear_other_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """Let newly given data replace the saved data, whatever its kind.

    Raises:
        ConfigError: Two kinds of data are given.
    """
    named = [name for name in _SOURCES if given.get(name)]
    if len(named) > 1:
        what = f"is given together with {named[1]}"
        fix = "choose one: each selects the training data on its own"
        raise ConfigError(Problem("", named[0], what, fix, kind="training.data"))
    return dict(_SOURCES) if named else {}


def _clear_options(given: Mapping[str, Any], saved: TrainingConfig) -> dict[str, Any]:
    """Let another optimizer, schedule or loss begin without the options of the one before."""
    return {
        choice.options: {}
        for choice in RUN_CHOICES
        if given.get(choice.field, found := getattr(saved, choice.field)) != found
    }


def build_config(fields: Mapping[str, Any], layouts: Layouts) -> GPTConfig:
    """Build a config from fields of `GPTConfig`; the others have their defaults.

    Raises:
        ConfigError: A field is of the wrong type or out of range, or they contradict each other.
    """
    document = to_document(GPTConfig()) | dict(fields)
    raise_field_errors(document_problems("config", document, "", layouts), "/")
    return from_document(GPTConfig, document)
