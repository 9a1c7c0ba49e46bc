"""Select what a run uses of what is registered, and the options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import evolve

from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.plugin_sections import (
    undeclared_choice_problems,
    undeclared_option_problems,
    unknown_name_problems,
)
from mypt.format.rules.plugin_settings import (
    GUARDS,
    LOSS,
    LR_SCHEDULE,
    OPTIMIZER,
    RUN_CHOICES,
    SINKS,
)
from mypt.format.schema.messages import explain_option_error, json_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from mypt.format.documents.training import TrainingConfig
    from mypt.plugins.contracts.factory import JsonSchema
    from mypt.plugins.manager import Plugins


class _HasOptions(Protocol):
    @property
    def options(self) -> JsonSchema: ...


class SelectableFactory(Protocol):
    """A factory that a run may select by name."""

    @property
    def options(self) -> JsonSchema: ...  # noqa: D102
    @property
    def default(self) -> bool: ...  # noqa: D102


def check_names(field: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Check that all guards or sinks that a run names are offered.

    Args:
        field: The field of the training config that names them.
        options: The value of that field.
        known: The names of those that are registered.

    Raises:
        ConfigError: At least one is not; one that is switched off may be unknown, if it is not
            likely a slip.
    """
    problems = list(unknown_name_problems(field, options, known))
    if problems:
        raise ConfigError(*problems)


def check_given(field: str, options: Mapping[str, Any], plugins: Plugins, file: str = "") -> None:
    """Check the names of guards or sinks, and those of their options, as a user gives them.

    Args:
        field: `gold_guards` or `log_sinks`.
        options: The value of that field.
        plugins: What is installed.
        file: The document that says so; "" for none.

    Raises:
        ConfigError: A name is not offered, or an option is not declared.
    """
    offered: Mapping[str, Mapping[str, SelectableFactory]] = {
        GUARDS: plugins.guards,
        SINKS: plugins.sinks,
    }
    factories = offered[field]
    schemas = {name: factories[name].options for name in options if name in factories}
    problems = [
        *unknown_name_problems(field, options, factories, file),
        *undeclared_option_problems(field, options, schemas, file),
    ]
    if problems:
        raise ConfigError(*problems)


def check_choices(
    training: TrainingConfig, plugins: Plugins, given: Collection[str] = (), file: str = ""
) -> None:
    """Check the optimizer, the schedule and the loss that a run names, and their options.

    Args:
        training: Hyperparameters of the run.
        plugins: What is installed.
        given: The fields that `file` does not say.
        file: The document that says the others; "" for none.

    Raises:
        PluginError: No plugin offers one of them, or two do.
        ConfigError: An option is not declared, or does not match its schema.
    """
    look_up: Mapping[str, Callable[[str], _HasOptions]] = {
        OPTIMIZER: plugins.optimizer,
        LR_SCHEDULE: plugins.schedule,
        LOSS: plugins.loss,
    }
    for choice in RUN_CHOICES:
        schema = look_up[choice.field](getattr(training, choice.field)).options
        options = getattr(training, choice.options)
        place = "" if {choice.field, choice.options} & {*given} else file
        problems = list(undeclared_choice_problems(choice.options, options, schema, place)) or [
            evolve(problem, file=place)
            for problem in check_options(choice.options, options, schema)
        ]
        if problems:
            raise ConfigError(*problems)


def select_options(
    field: str, options: Mapping[str, Any], factories: Mapping[str, SelectableFactory]
) -> dict[str, Mapping[str, Any]]:
    """Return the options of the factories that a run names, and of the default ones.

    The option `false` excludes a factory. What nobody offers is left out; see `check_names`.

    Args:
        field: The field of the training config that names them.
        options: The value of that field.
        factories: The registered factories, by name.

    Raises:
        ConfigError: Options do not match their schema.
    """
    problems = [
        problem
        for name, factory in factories.items()
        if options.get(name)
        for problem in check_options(f"{field}/{name}", options[name], factory.options)
    ]
    if problems:
        raise ConfigError(*problems)
    said = {
        name: options.get(name, {} if factory.default else False)
        for name, factory in factories.items()
    }
    return {name: value for name, value in said.items() if value is not False}


def check_options(where: str, options: object, schema: JsonSchema) -> list[Problem]:
    """Return a problem for each option that does not match its schema.

    Args:
        where: The field of the training config with the options.
        options: Its value.
        schema: What it has to match.
    """
    from mypt.format.schema.validator import make_validator  # slow to import

    return [
        Problem("", f"{where}{json_pointer(error.absolute_path)}", *explain_option_error(error))
        for error in make_validator(schema).iter_errors(options)
    ]
