"""The options of plugins that a user gives for what is made new: joined, and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.format.documents.construction import raise_field_errors
from mypt.format.errors import PluginError, Problem, has_errors
from mypt.format.rules.config import CLASH
from mypt.format.rules.documents import document_problems
from mypt.format.rules.plugin_sections import written_section_problems
from mypt.format.rules.plugin_settings import (
    PLUGINS,
    clash_problems,
    find_plugin_choices,
)
from mypt.format.schema.messages import json_pointer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.convert import Document
    from mypt.format.rules.plugin_settings import Settings

    Sections = Mapping[str, Mapping[str, Any]]


def merge_sections(first: Sections, second: Sections) -> dict[str, dict[str, Any]]:
    """Return the options of both; where both have one, that of `second`.

    Raises:
        ConfigError: `second` has another form than `plugins` of a preset.
    """
    raise_field_errors(document_problems("preset", {PLUGINS: second}, ""), "/")
    return {name: {**first.get(name, {}), **second.get(name, {})} for name in {**first, **second}}


def check_sections(
    document: Document, settings: Settings, *, preset: str = "", given: Sections | None = None
) -> list[str]:
    """Check the options of plugins for a new model or tokenizer.

    Args:
        document: Fields of a preset: `plugins`, and those that choose parts and a tokenizer.
        settings: The plugins' schemas.
        preset: The file that some of the options are from; "" if none are.
        given: The options that are not from it.

    Returns:
        What has no effect, a line each.

    Raises:
        ConfigError: A section is not that of an installed package, or an option is unknown or does
            not fit.
        PluginError: Two packages offer what is chosen, or an option means different things to two
            factories of a package.
    """
    sections, choices = document.get(PLUGINS, {}), list(find_plugin_choices(document))
    if not (sections or choices):
        return []
    clashes = list(clash_problems(choices, "", settings))
    if clashes:
        raise PluginError(*clashes)
    problems = [
        _name_origin(problem, preset, given or {})
        for problem in written_section_problems(sections, choices, "", settings)
    ]
    if has_errors(problem for problem in problems if problem.kind == CLASH):
        raise PluginError(*(problem for problem in problems if problem.kind == CLASH))
    raise_field_errors(problems, "")
    return [str(problem) for problem in problems]


def _name_origin(problem: Problem, preset: str, given: Sections) -> Problem:
    """Name the file that a section or an option is from."""
    _, _, package, *rest = problem.where.split("/")
    options = [json_pointer([name])[1:] for name in given.get(package, {})]
    is_given = package in given and (not rest or rest[0] in options)
    if preset and not is_given:
        return evolve(problem, file=preset)
    return evolve(problem, where=problem.where.removeprefix("/"))
