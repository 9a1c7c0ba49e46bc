"""Check plugins' settings inside documents against the schemas that the plugins provide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.documents.manifest import GENERATE
from mypt.format.errors import Problem
from mypt.format.layout import BUILT_IN, SLOTS
from mypt.format.schema.messages import explain_option_error, json_pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypt.format.documents.convert import Document

TOKEN_KIND, GUARDS = "token_kind", "gold_guards"
BUILT_IN_TOKENIZERS = ("char", "gpt2")
# The kind of a tokenizer whose plugin is known by name and not installed.
TOKENIZER_PLUGIN = "plugin.tokenizer"


@frozen
class Setting:
    """The schema of a plugin's settings.

    Attributes:
        package: The plugin's own key under `plugins`.
        schema: JSON Schema of the settings; {} accepts anything.
    """

    package: str
    schema: Mapping[str, Any] = field(factory=dict)


# (field, its value) -> what the settings must be: ("mlp_type", "mixture"), ("token_kind", "bpe"),
# ("gold_guards", "patience"). Values that no known plugin provides are not checked.
Settings = Mapping[tuple[str, str], Setting]
NO_SETTINGS: Settings = {}


def settings_problems(document: Document, file: str, settings: Settings) -> list[Problem]:
    """Check the settings in a config, preset, tokenizer or training state against their schemas.

    Missing settings count as {}, so that a schema can require some.

    Args:
        document: Fields accepted by their schema.
        file: Its name, for messages.
        settings: The plugins' schemas.
    """
    problems: list[Problem] = []
    given = document.get("plugins", {})
    for key in _find_plugin_choices(document):
        if key in settings:
            found = settings[key]
            at = ("plugins", found.package)
            problems += _setting_problems(given.get(found.package, {}), found, file, at)
    training = document.get("training_config", {}) if "step" in document else document
    for name, options in training.get(GUARDS, {}).items():
        if options is not False and (GUARDS, name) in settings:
            prefix = ("training_config",) if "step" in document else ()
            where = (*prefix, GUARDS, name)
            problems += _setting_problems(options, settings[GUARDS, name], file, where)
    return list(dict.fromkeys(problems))  # two parts of one plugin share their settings


def tokenizer_plugin_problems(
    tokenizer: Document, file: str, settings: Settings, needs: Mapping[str, Any]
) -> list[Problem]:
    """Warn of a tokenizer that no plugin here offers; the weights open without it.

    Args:
        tokenizer: Fields that their schema has accepted.
        file: Its name, for messages.
        settings: What the plugins say; nothing is said where none is known, not even mypt's own.
        needs: Packages that the bundle says it needs, as its manifest has them.
    """
    kind = tokenizer[TOKEN_KIND]
    if kind in BUILT_IN_TOKENIZERS or (TOKEN_KIND, BUILT_IN_TOKENIZERS[0]) not in settings:
        return []
    if (TOKEN_KIND, kind) in settings:
        return []
    named = [name for name, need in needs.items() if GENERATE in need["needed_for"]]
    packages = sorted({*named, *tokenizer.get("plugins", {})})
    what = f'is "{kind}", which no installed plugin offers'
    fix = "install the plugin that brings it; without it texts are written as ids"
    slug = "tokenizer.unknown"
    if packages:
        fix, slug = f"install it: pip install {' '.join(packages)}", TOKENIZER_PLUGIN
    return [Problem(file, f"/{TOKEN_KIND}", what, fix, kind=slug, severity="warning")]


def _find_plugin_choices(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the fields, with their values, that choose something not built into mypt."""
    kind = document.get(TOKEN_KIND)
    if kind is not None and kind not in BUILT_IN_TOKENIZERS:
        yield TOKEN_KIND, kind
    for slot in SLOTS:
        if slot in document and (slot, document[slot]) not in BUILT_IN:
            yield slot, document[slot]


def _setting_problems(
    options: object, setting: Setting, file: str, at: tuple[str, ...]
) -> Iterator[Problem]:
    from mypt.format.schema.validator import (
        make_validator,  # imports jsonschema, which is only needed if there are settings
    )

    if not setting.schema:
        return
    try:
        errors = list(make_validator(setting.schema).iter_errors(options))
    except Exception as error:  # a third party's schema may be invalid
        what = f"cannot be checked: the schema of {setting.package} is invalid ({error})"
        fix = f"update {setting.package}"
        yield Problem(file, json_pointer(at), what, fix, kind="plugin.schema", severity="warning")
        return
    for found in errors:
        what, fix = explain_option_error(found)
        where = json_pointer((*at, *found.absolute_path))
        yield Problem(file, where, what, fix, kind=f"settings.{found.validator}")
