"""Check what a user wrote for plugins: a name that nobody knows would leave the defaults in place.

A bundle is read by other rules: it keeps the sections of packages that are not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.format.errors import Problem, suggestion
from mypt.format.names.lookup import format_hint
from mypt.format.rules.config import CLASH
from mypt.format.rules.optimizers.kinds import UNKNOWN
from mypt.format.rules.plugin_settings import (
    BUILT_IN_TOKENIZERS,
    GUARDS,
    PLUGINS,
    RUN_CHOICES,
    SINKS,
    TOKENIZATION,
    Setting,
    clash_problems,
    explain_unknown_option,
    find_plugin_choices,
    knows_plugins,
    list_shared,
    named_problems,
    section_problems,
)
from mypt.format.schema.messages import json_pointer
from mypt.format.version import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypt.format.documents.convert import Document
    from mypt.format.rules.plugin_settings import RunChoice, Settings

    Choice = tuple[str, str]

UNUSED = "plugin.unused"
NOUNS = {GUARDS: "gold guard", SINKS: "log sink"}
# Keywords that change nothing of what a schema accepts.
_ANNOTATIONS = frozenset({"$comment", "default", "deprecated", "description", "examples", "title"})
# Keywords by which a schema may accept names that its `properties` do not list.
_OPENING = frozenset({"$dynamicRef", "$ref", "allOf", "anyOf", "dependentSchemas", "if", "oneOf"})


def preset_problems(document: Document, file: str, settings: Settings) -> list[Problem]:
    """Check all that a preset says to plugins.

    Args:
        document: Fields accepted by their schema.
        file: Its name, for messages.
        settings: The plugins' schemas; nothing is checked where they are not known.
    """
    choices, sections = list(find_plugin_choices(document)), document.get(PLUGINS, {})
    named = [
        (chooser, name)
        for chooser in NOUNS
        for name, options in document.get(chooser, {}).items()
        if options is not False
    ]
    chosen = [(choice, *choice.find(document)) for choice in RUN_CHOICES]
    named += [(choice.field, name) for choice, name, _ in chosen]
    named_any = any(document.get(chooser) for chooser in NOUNS) or any(
        options or name != choice.default for choice, name, options in chosen
    )
    if not (choices or sections or named_any) or not knows_plugins(settings):
        return []
    problems = [
        *clash_problems([*choices, *named], file, settings),
        *written_section_problems(sections, choices, file, settings),
        *named_problems(document, file, settings),
    ]
    kind = document.get(TOKENIZATION, BUILT_IN_TOKENIZERS[0])
    if kind not in BUILT_IN_TOKENIZERS and (TOKENIZATION, kind) not in settings:
        known = _list_values(TOKENIZATION, settings)
        what = f'is "{kind}", which neither mypt nor an installed plugin provides'
        fix = f"use one of: {', '.join(known)}, or install the plugin that provides it"
        what += suggestion(kind, known)
        problems.append(Problem(file, f"/{TOKENIZATION}", what, fix, kind="tokenizer.unknown"))
    for chooser in NOUNS:
        known = _list_values(chooser, settings)
        given = document.get(chooser, {})
        schemas = {name: settings[chooser, name].schema for name in known}
        problems += unknown_name_problems(chooser, given, known, file)
        problems += undeclared_option_problems(chooser, given, schemas, file)
    for choice in RUN_CHOICES:
        problems += _choice_problems(choice, document, file, settings)
    return list(dict.fromkeys(problems))


def unknown_name_problems(
    chooser: str, chosen: Mapping[str, Any], known: Iterable[str], file: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each gold guard or log sink that nobody offers.

    What is not here can be switched off too, unless it is likely a slip.

    Args:
        chooser: `gold_guards` or `log_sinks`.
        chosen: The value of that field.
        known: The names that are offered.
        file: The document that says so.
    """
    names = sorted(known)
    for name, said in chosen.items():
        near = suggestion(name, names)
        if name not in names and (said is not False or near):
            what = f"there is no {NOUNS[chooser]} `{name}`{near}"
            where = f"/{chooser}" if file else chooser
            fix = f"use one of: {', '.join(names)}"
            yield Problem(file, where, what, fix, kind=f"{chooser}.unknown")


def undeclared_option_problems(
    chooser: str, chosen: Mapping[str, Any], schemas: Mapping[str, Any], file: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each option that a gold guard or log sink does not declare.

    Args:
        chooser: `gold_guards` or `log_sinks`.
        chosen: The value of that field.
        schemas: The JSON Schemas of those that are offered, by name.
        file: The document that says so.
    """
    for name, options in chosen.items():
        found = Setting("", schemas.get(name, {}))
        if not isinstance(options, dict) or name not in schemas or _takes_any_name(found):
            continue
        for option in options:
            if option not in found.options:
                where = json_pointer((chooser, name, option))
                where = where if file else where.removeprefix("/")
                yield explain_unknown_option(where, found.options, file)


def undeclared_choice_problems(
    field: str, options: Mapping[str, Any], schema: Mapping[str, Any], file: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each option that what a run chooses does not declare.

    Args:
        field: The field with the options, such as `optimizer_options`.
        options: Its value.
        schema: JSON Schema of the options.
        file: The document that says so.
    """
    found = Setting("", schema)
    for option in () if _takes_any_name(found) else options:
        if option not in found.options:
            where = json_pointer((field, option))
            where = where if file else where.removeprefix("/")
            yield explain_unknown_option(where, found.options, file)


def written_section_problems(
    sections: Mapping[str, Any], choices: Iterable[Choice], file: str, settings: Settings
) -> list[Problem]:
    """Check the sections that a user wrote for a run.

    Each has to be that of an installed package, and each option one that the package declares; of
    a schema without `additionalProperties`, `properties` lists all. An option of something that
    the run does not choose is a warning.

    Args:
        sections: Settings by package.
        choices: What the run chooses, such as ("mlp_type", "mixture").
        file: The document with the sections, for messages.
        settings: The plugins' schemas.
    """
    if not knows_plugins(settings):
        return []
    problems, checked, chosen = list[Problem](), dict[str, Any](), list(choices)
    for package, given in sections.items():
        found = settings.get((PLUGINS, package))
        if found is None:
            problems.append(_explain_unknown_package(package, file, settings))
        elif found.unusable is not None:
            where = json_pointer((PLUGINS, package))
            problems.append(Problem(file, where, *found.unusable, kind="plugin.missing"))
        else:
            wrong = _find_wrong_names(package, given, chosen, file, settings)
            problems += wrong.values()
            refused = {n for n, problem in wrong.items() if problem.severity == "error"}
            checked[package] = {k: v for k, v in given.items() if k not in refused}
    return [*problems, *section_problems(checked, chosen, file, settings)]


def list_clashes(package: str, settings: Settings) -> dict[str, tuple[Choice, Choice]]:
    """Return the options that two choices of one run would take differently, with both."""
    shared = [(k, s) for k, s in list_shared(package, settings).items() if s.unusable is None]
    return {
        name: (first, second)
        for index, (first, one) in enumerate(shared)
        for second, other in shared[index + 1 :]
        for name in one.options.keys() & other.options.keys()
        if first[0] != second[0] and _is_clash((one, other), name)
    }


def describe_choice(key: Choice) -> str:
    """Return a choice in words, such as mlp_type `mixture`."""
    return f"{key[0]} `{key[1]}`"


def _choice_problems(
    choice: RunChoice, document: Document, file: str, settings: Settings
) -> Iterator[Problem]:
    """Yield what is wrong with a choice of a preset, and with the names of its options."""
    name, options = choice.find(document)
    if name == choice.default and not options:
        return
    if (choice.field, name) in settings:
        schema = settings[choice.field, name].schema
        yield from undeclared_choice_problems(choice.options, options, schema, file)
        return
    known = _list_values(choice.field, settings)
    what = f'is "{name}", which neither mypt nor an installed plugin provides'
    fix = f"use one of: {', '.join(known)}, or install the plugin that provides it"
    what += suggestion(name, known)
    yield Problem(file, f"/{choice.field}", what, fix, kind=UNKNOWN)


def _find_wrong_names(
    package: str,
    given: Mapping[str, Any],
    chosen: Sequence[Choice],
    file: str,
    settings: Settings,
) -> dict[str, Problem]:
    """Return what is wrong with names of options, whatever their values are."""
    shared = list_shared(package, settings)
    used = {key: found for key, found in shared.items() if key in chosen}
    problems: dict[str, Problem] = {}
    for name in given:
        takers = [key for key, found in shared.items() if name in found.options]
        takers_used = [key for key in takers if key in used]
        if len(takers_used) > 1:
            if _is_clash([shared[key] for key in takers_used], name):
                problems[name] = _explain_clash(package, name, takers_used, file)
        elif takers and not takers_used:
            problems[name] = _explain_unused(package, name, takers, file)
        elif not takers and not any(map(_takes_any_name, (used or shared).values())):
            known = [option for found in shared.values() for option in found.options]
            place = json_pointer((PLUGINS, package, name))
            problems[name] = explain_unknown_option(place, known, file)
    return problems


def _explain_unknown_package(package: str, file: str, settings: Settings) -> Problem:
    packages = {value: found for (key, value), found in settings.items() if key == PLUGINS}
    aliases = {name: found.package for found in packages.values() for name in found.names}
    near = aliases.get(package)
    hint = suggestion(package, packages) if near is None else format_hint([near])
    what = f"is not the name of an installed package with plugins{hint}"
    fix = f"install it: pip install {package}, or remove the section"
    if package.lower().replace("_", "-") in {"mypt", DISTRIBUTION}:
        what, fix = "is mypt itself, which has no section", "remove the section"
    elif hint:
        fix = "correct it, or remove the section"
    return Problem(file, json_pointer((PLUGINS, package)), what, fix, kind="plugin.section")


def _explain_unused(package: str, name: str, takers: Iterable[Choice], file: str) -> Problem:
    owners = " or ".join(describe_choice(key) for key in takers)
    what = f"has no effect: it is an option of {owners}, which is not chosen"
    where = json_pointer((PLUGINS, package, name))
    return Problem(file, where, what, "choose that, or leave it out", UNUSED, "warning")


def _explain_clash(package: str, name: str, takers: Iterable[Choice], file: str) -> Problem:
    owners = " and ".join(map(describe_choice, takers))
    what = f"is an option of {owners}, which do not take the same"
    fix = f"leave it out; the author of {package} has to rename one"
    return Problem(file, json_pointer((PLUGINS, package, name)), what, fix, kind=CLASH)


def _takes_any_name(found: Setting) -> bool:
    """Return whether options may have names that the schema does not list."""
    more = found.schema.get("additionalProperties")
    if more is None:
        return bool(found.schema.keys() & (_OPENING | {"patternProperties"}))
    return more is not False or "patternProperties" in found.schema


def _is_clash(takers: Iterable[Setting], name: str) -> bool:
    schemas = [_strip_annotations(found.options[name]) for found in takers]
    return any(schema != schemas[0] for schema in schemas)


def _strip_annotations(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {key: value for key, value in schema.items() if key not in _ANNOTATIONS}


def _list_values(field: str, settings: Settings) -> list[str]:
    return sorted(value for key, value in settings if key == field)
