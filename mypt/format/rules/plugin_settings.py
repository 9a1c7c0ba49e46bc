"""Check plugins' settings inside documents against the schemas that the plugins provide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.errors import Problem, suggestion
from mypt.format.layout import BUILT_IN, SLOTS
from mypt.format.optimizers.adamw import NAME as ADAMW_NAME
from mypt.format.optimizers.built_in import BUILT_IN_OPTIMIZERS
from mypt.format.rules.config import BROKEN, CLASH, MISSING
from mypt.format.schema.messages import explain_option_error, json_pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jsonschema import ValidationError

    from mypt.format.documents.convert import Document
    from mypt.format.optimizers.declaration import Declaration

# The fields that choose what a plugin offers. `tokenization` is that of a new model, whose section
# holds the settings of the training; `token_kind` is that of a tokenizer with its state.
TOKEN_KIND, TOKENIZATION = "token_kind", "tokenization"
GUARDS, SINKS = "gold_guards", "log_sinks"
OPTIMIZER, OPTIMIZER_OPTIONS = "optimizer", "optimizer_options"
COSINE, CROSS_ENTROPY = "cosine", "cross_entropy"
LR_SCHEDULE, LR_SCHEDULE_OPTIONS = "lr_schedule", "lr_schedule_options"
LOSS, LOSS_OPTIONS = "loss", "loss_options"
DATA_SOURCE, DATA_OPTIONS, TEXT = "data_source", "data_options", "text"
PLUGINS = "plugins"
# The fields whose choices of one package share its section in a config or a preset.
SHARED = (*SLOTS, TOKENIZATION)
BUILT_IN_TOKENIZERS = ("char", "gpt2")
# The kind of a tokenizer whose plugin is known by name and not installed.
TOKENIZER_PLUGIN = "plugin.tokenizer"
# The kinds of problems that a plugin, or a sound one, would end.
NEEDS_PLUGIN = frozenset({MISSING, BROKEN, CLASH, TOKENIZER_PLUGIN})


@frozen
class RunChoice:
    """A field of a training config that names one thing of a kind, beside a field of its options.

    Attributes:
        field: The field with the name.
        options: The field with the options.
        default: The name that it has by default, which mypt offers itself.
    """

    field: str
    options: str
    default: str

    def find(self, training: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Return the name and the options that a document chooses."""
        return training.get(self.field, self.default), training.get(self.options) or {}


RUN_CHOICES = (
    RunChoice(OPTIMIZER, OPTIMIZER_OPTIONS, ADAMW_NAME),
    RunChoice(LR_SCHEDULE, LR_SCHEDULE_OPTIONS, COSINE),
    RunChoice(LOSS, LOSS_OPTIONS, CROSS_ENTROPY),
)
# What reads the texts of a run, which may leave it open. A run can go on with other texts, so a
# bundle does not require its plugin.
SOURCE_CHOICE = RunChoice(DATA_SOURCE, DATA_OPTIONS, TEXT)


@frozen
class SettingsOrigin:
    """What settings were saved with.

    Attributes:
        name: The name that what they are of had then.
        package: The package that offered it.
        version: Version of that package; None where it was not recorded.
    """

    name: str
    package: str
    version: str | None


@frozen
class Setting:
    """What a plugin says of something that it offers, and of its settings.

    Attributes:
        package: The plugin's own key under `plugins`.
        schema: JSON Schema of the settings; {} accepts anything.
        names: Other names that a user may take for that of a package, such as its module's; of a
            name that two packages offer, the other package.
        unusable: Why it cannot be used, and what to do: its package is disabled or broken, or two
            packages offer it. None if it can.
        declaration: What an optimizer keeps; None for anything else.
        name: For a former name, see `former_key`, the present one.
        former_packages: Packages that offered the same before.
        update: Returns settings as they are today, from those that were saved; None where they
            never changed.
    """

    package: str
    schema: Mapping[str, Any] = field(factory=dict)
    names: tuple[str, ...] = ()
    unusable: tuple[str, str] | None = None
    declaration: Declaration | None = None
    name: str = ""
    former_packages: tuple[str, ...] = ()
    update: Callable[[Mapping[str, Any], SettingsOrigin], Mapping[str, Any]] | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """The schemas of the options that it declares, by name."""
        declared: Mapping[str, Any] = self.schema.get("properties", {})
        return declared


# (field, its value) -> what the settings must be: ("mlp_type", "mixture"), ("token_kind", "bpe"),
# ("gold_guards", "patience"), ("optimizer", "muon"). Values that no known plugin provides are not
# checked.
# ("plugins", "acme-tools") is an installed package. `former_key` has what had other names before.
Settings = Mapping[tuple[str, str], Setting]
NO_SETTINGS: Settings = {}


def former_key(field: str, value: str) -> tuple[str, str]:
    """Return the key of what was called `value` before, where nothing is called so now.

    Args:
        field: As in the other keys; of `plugins`, a package whose plugins another one offers now,
            which is the `package` of the setting.
        value: The former name.
    """
    return f"former {field}", value


def knows_plugins(settings: Settings) -> bool:
    """Return whether settings list what is installed; otherwise not even mypt's own are there."""
    return (TOKEN_KIND, BUILT_IN_TOKENIZERS[0]) in settings


def find_declaration(contents: Any, settings: Settings) -> Declaration | None:
    """Return what the optimizer of an `optimizer.pt` keeps; None where nobody here offers it.

    Args:
        contents: The contents; of whatever form.
        settings: What the plugins say.
    """
    name = contents.get(OPTIMIZER) if isinstance(contents, dict) else None
    if not isinstance(name, str):
        return None
    if name in BUILT_IN_OPTIMIZERS:  # no plugin has to be asked
        return BUILT_IN_OPTIMIZERS[name]
    found = settings.get((OPTIMIZER, name))
    return None if found is None else found.declaration


def list_unusable(packages: Iterable[str], settings: Settings) -> dict[str, tuple[str, str]]:
    """Return, for those of some packages that are installed and cannot be used, why, and a fix."""
    found = {p: settings.get((PLUGINS, p.lower().replace("_", "-"))) for p in packages}
    return {p: f.unusable for p, f in found.items() if f is not None and f.unusable is not None}


def settings_problems(document: Document, file: str, settings: Settings) -> list[Problem]:
    """Check the settings in a config, preset, tokenizer or training state against their schemas.

    Missing settings count as {}, so that a schema can require some.

    Args:
        document: Fields accepted by their schema.
        file: Its name, for messages.
        settings: The plugins' schemas.
    """
    return [
        *section_problems(
            document.get(PLUGINS, {}), list(find_plugin_choices(document)), file, settings
        ),
        *named_problems(document, file, settings),
    ]


def section_problems(
    sections: Mapping[str, Any], choices: Iterable[tuple[str, str]], file: str, settings: Settings
) -> list[Problem]:
    """Check the sections of the packages that something is chosen from.

    All that is chosen from one package finds its options in one section: each schema is asked
    about its own options and about those that nothing else of the package declares.

    Args:
        sections: Settings by package.
        choices: Fields and values, such as ("mlp_type", "mixture").
        file: The name of the document, for messages.
        settings: The plugins' schemas.
    """
    problems: list[Problem] = []
    chosen: dict[str, list[tuple[str, str]]] = {}
    for key in choices:
        if key in settings:
            chosen.setdefault(settings[key].package, []).append(key)
    for package, keys in chosen.items():
        given, unknown = sections.get(package, {}), dict[str, None]()
        for key in keys:
            options = select_own_options(given, key, settings)
            for error in _find_errors(options, settings[key], file, (PLUGINS, package), problems):
                if error.validator == "additionalProperties" and len(error.absolute_path) == 1:
                    unknown[str(error.absolute_path[0])] = None
                else:
                    problems.append(_make_problem(error, file, (PLUGINS, package)))
        known = [name for key in keys for name in settings[key].options]
        places = [json_pointer((PLUGINS, package, name)) for name in unknown]
        problems += [explain_unknown_option(place, known, file) for place in places]
    return list(dict.fromkeys(problems))  # what two of them declare is wrong once


def select_own_options(
    given: Mapping[str, Any], key: tuple[str, str], settings: Settings
) -> dict[str, Any]:
    """Return the options of a section without those that only other choices of its package declare.

    Args:
        given: The section.
        key: The choice.
        settings: The plugins' schemas.
    """
    if key[0] not in SHARED:
        return dict(given)
    own, others = settings[key], list_shared(settings[key].package, settings)
    elsewhere = {name for other in others.values() for name in other.options}
    return {k: v for k, v in given.items() if k in own.options or k not in elsewhere}


def list_shared(package: str, settings: Settings) -> dict[tuple[str, str], Setting]:
    """Return all that shares the section of a package."""
    return {
        key: found
        for key, found in settings.items()
        if package in (found.package, *found.names) and key[0] in SHARED
    }


def explain_unknown_option(where: str, known: Iterable[str], file: str) -> Problem:
    """Describe an option that no plugin declares.

    Args:
        where: Its place, which ends in its name.
        known: The options that could stand there.
        file: The name of the document.
    """
    names = list(dict.fromkeys(known))
    what = f"is not an option{suggestion(where.rpartition('/')[2], names)}"
    fix = f"use one of: {', '.join(names)}" if names else "leave it out: there are no options"
    return Problem(file, where, what, fix, kind="settings.additionalProperties")


def named_problems(document: Document, file: str, settings: Settings) -> list[Problem]:
    """Check the options of guards and of what a run chooses, and in a preset those of sinks.

    Args:
        document: A preset or a training state, accepted by its schema.
        file: Its name, for messages.
        settings: The plugins' schemas.
    """
    problems: list[Problem] = []
    prefix = ("training_config",) if "step" in document else ()
    training = document.get("training_config", {}) if prefix else document
    for chooser in (GUARDS,) if prefix else (GUARDS, SINKS):  # no run needs the sinks it had
        for name, options in training.get(chooser, {}).items():
            if options is not False and (chooser, name) in settings:
                found, at = settings[chooser, name], (*prefix, chooser, name)
                errors = _find_errors(options, found, file, at, problems)
                problems += [_make_problem(error, file, at) for error in errors]
    for choice in RUN_CHOICES:
        name, given = choice.find(training)
        if (given or name != choice.default) and (choice.field, name) in settings:
            found, at = settings[choice.field, name], (*prefix, choice.options)
            errors = _find_errors(given, found, file, at, problems)
            problems += [_make_problem(error, file, at) for error in errors]
    return problems


def clash_problems(
    choices: Iterable[tuple[str, str]], file: str, settings: Settings
) -> Iterator[Problem]:
    """Yield a problem for each choice that two installed packages offer.

    Args:
        choices: Fields and values, such as ("mlp_type", "mixture").
        file: The name of the document, for messages.
        settings: The plugins' schemas.
    """
    for field_name, value in choices:
        found = settings.get((field_name, value))
        if found is not None and found.unusable is not None:
            where = json_pointer([field_name]) if file else ""
            yield Problem(file, where, *found.unusable, kind=CLASH)


def find_plugin_choices(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the fields, with their values, that choose something not built into mypt."""
    for kind in (TOKEN_KIND, TOKENIZATION):
        if document.get(kind) is not None and document[kind] not in BUILT_IN_TOKENIZERS:
            yield kind, document[kind]
    for slot in SLOTS:
        if slot in document and (slot, document[slot]) not in BUILT_IN:
            yield slot, document[slot]


def _find_errors(
    options: object, setting: Setting, file: str, at: tuple[str, ...], problems: list[Problem]
) -> list[ValidationError]:
    """Return the errors of options; that their schema is none goes to `problems`."""
    from mypt.format.schema.validator import (
        make_validator,  # imports jsonschema, which is only needed if there are settings
    )

    if not setting.schema:
        return []
    try:
        return list(make_validator(setting.schema).iter_errors(options))
    except Exception as error:  # a third party's schema may be invalid
        what = f"cannot be checked: the schema of {setting.package} is invalid ({error})"
        fix = f"update {setting.package}"
        where = json_pointer(at)
        problem = Problem(file, where, what, fix, kind="plugin.schema", severity="warning")
        problems.append(problem)
        return []


def _make_problem(error: ValidationError, file: str, at: tuple[str, ...]) -> Problem:
    what, fix = explain_option_error(error)
    where = json_pointer((*at, *error.absolute_path))
    return Problem(file, where, what, fix, kind=f"settings.{error.validator}")
