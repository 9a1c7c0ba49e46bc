"""Select the registered guards or sinks that a run uses, and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mypt.format.errors import ConfigError, Problem
from mypt.format.schema.messages import explain_option_error, json_pointer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.plugins.contracts import JsonSchema


class SelectableFactory(Protocol):
    """A factory that a run may select by name."""

    @property
    def options(self) -> JsonSchema: ...  # noqa: D102
    @property
    def default(self) -> bool: ...  # noqa: D102


def select_options(
    field: str, options: Mapping[str, Any], factories: Mapping[str, SelectableFactory]
) -> dict[str, Mapping[str, Any]]:
    """Return the options of the factories that a run names, and of the default ones.

    Args:
    The option `false` excludes a factory.

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
        for problem in _check_options(f"{field}/{name}", options[name], factory.options)
    ]
    if problems:
        raise ConfigError(*problems)
    said = {
        name: options.get(name, {} if factory.default else False)
        for name, factory in factories.items()
    }
    return {name: value for name, value in said.items() if value is not False}


def _check_options(where: str, options: object, schema: JsonSchema) -> list[Problem]:
    from mypt.format.schema.validator import make_validator  # slow to import

    return [
        Problem("", f"{where}{json_pointer(error.absolute_path)}", *explain_option_error(error))
        for error in make_validator(schema).iter_errors(options)
    ]
