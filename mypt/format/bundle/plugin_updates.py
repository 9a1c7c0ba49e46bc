"""Bring what documents say of plugins up to date: names that have changed, and older settings.

A plugin says by which names it was known before, and how settings of its earlier versions are
written today. Whatever reads a document applies that first, so that all that follows knows the
present names alone, and the next save writes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.format.errors import MyptError, Problem, log_traceback
from mypt.format.names.packages import normalize_package_name
from mypt.format.rules.plugin_settings import (
    GUARDS,
    PLUGINS,
    RUN_CHOICES,
    SINKS,
    SOURCE_CHOICE,
    TOKENIZATION,
    SettingsOrigin,
    find_plugin_choices,
    former_key,
)
from mypt.format.rules.requirements import REQUIRES, make_feature, package_of
from mypt.format.schema.messages import json_pointer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.convert import Document
    from mypt.format.rules.plugin_settings import RunChoice, Setting, Settings

    Needs = Mapping[str, Any]

# What mypt offers by default, by the field that names it.
_OWN = frozenset((choice.field, choice.default) for choice in (*RUN_CHOICES, SOURCE_CHOICE))

RENAMED, UPDATED = "plugin.renamed", "plugin.updated"
_FIX = "no action needed: the next save writes it so"


def update_document(
    document: Document, file: str, settings: Settings, needs: Needs
) -> tuple[Document, list[Problem]]:
    """Return a document with the present names and settings of plugins, and a note on each change.

    Args:
        document: A config, tokenizer, training state or preset whose schema accepts it. It is not
            changed.
        file: Its name, for messages.
        settings: What plugins say of their settings.
        needs: The packages it was saved with, as `plugins` of a manifest has them.

    Returns:
        The same document where nothing has changed. What a plugin fails to bring up to date is an
        error among the notes.
    """
    updater = _Updater(dict(document), file, settings, needs)
    updater.update_choices()
    updater.update_named()
    updater.rename_packages()
    return (updater.document, updater.notes) if updater.notes else (document, [])


def update_needs(needs: Needs, settings: Settings) -> Needs:
    """Return the packages that a bundle was saved with, under their present names."""
    renamed = {package: find_package(package, settings) for package in needs}
    if all(package == now for package, now in renamed.items()):
        return needs
    kept = {package: need for package, need in needs.items() if renamed[package] == package}
    return {**{renamed[package]: need for package, need in needs.items()}, **kept}


def find_package(package: str, settings: Settings) -> str:
    """Return the package that offers today what a package did; itself if none does."""
    found = settings.get(former_key(PLUGINS, normalize_package_name(package)))
    return package if found is None else found.package


def find_name(field: str, name: str, settings: Settings) -> str:
    """Return what is called today what a field has called `name`; itself if nothing was."""
    if (field, name) in _OWN or (field, name) in settings:
        return name  # of mypt's own no plugin has to be asked
    found = settings.get(former_key(field, name))
    return name if found is None else found.name


class _Updater:
    """Brings one document up to date.

    Attributes:
        document: The document, whose own members are replaced and never changed.
        notes: What was changed.
    """

    def __init__(
        self, document: dict[str, Any], file: str, settings: Settings, needs: Needs
    ) -> None:
        self.document = document
        self.notes: list[Problem] = []
        self._file = file
        self._settings = settings
        self._needs = needs

    def update_choices(self) -> None:
        """Update what is chosen by a field of its own, and the sections with its settings."""
        chosen = []
        for field, value in find_plugin_choices(self.document):
            found = self._settings.get((field, value))
            if found is None and (found := self._settings.get(former_key(field, value))):
                self.document[field] = found.name
                self._note(RENAMED, (field,), f'is "{value}", which is called "{found.name}" today')
            if found is not None and found.unusable is None and field != TOKENIZATION:
                chosen.append((value, found))
        used = {setting.package for _, setting in chosen}
        for value, setting in chosen:
            self._move_section(setting, used)
            sections = self.document.get(PLUGINS, {})
            given = sections.get(setting.package, {})
            made = self._update(setting, given, value, (PLUGINS, setting.package))
            if made != given:
                self.document[PLUGINS] = {**sections, setting.package: made}

    def _move_section(self, setting: Setting, used: set[str]) -> None:
        """Put a section under the present name of its package."""
        sections, now = self.document.get(PLUGINS, {}), setting.package
        before = next((p for p in setting.former_packages if p in sections), None)
        if now in sections or before is None or before in used:
            return
        moved = {(now if name == before else name): held for name, held in sections.items()}
        self.document[PLUGINS] = moved
        self._note(RENAMED, (PLUGINS, before), f"is the section of {now} today")

    def update_named(self) -> None:
        """Update guards and sinks, whose options stand under their names, and what a run names."""
        training: Mapping[str, Any] = self.document
        at: tuple[str, ...] = ()
        if "step" in self.document:
            training, at = self.document.get("training_config") or {}, ("training_config",)
        for field in (GUARDS, SINKS):
            given = training.get(field) or {}
            names = {name: self._find_present(field, name, given) for name in given}
            made = {
                now: self._update_options(field, now, name, given[name], (*at, field, name))
                for name, now in names.items()
            }
            if made != given:
                training = {**training, field: made}
                self._put(at, training)
            self._rename_memory(field, names)
        updated = training
        for choice in (*RUN_CHOICES, SOURCE_CHOICE):
            updated = self._update_choice(choice, updated, at)
        if updated is not training:
            self._put(at, updated)

    def _rename_memory(self, field: str, names: Mapping[str, str]) -> None:
        """Put what guards or sinks have kept under their present names."""
        gold, sinks = self.document.get("gold"), self.document.get("sinks")
        if field == GUARDS and gold is not None and gold.get("guards"):
            kept = {names.get(name, name): memory for name, memory in gold["guards"].items()}
            self.document["gold"] = {**gold, "guards": kept}
        if field == SINKS and sinks and "step" in self.document:  # a config has none of them
            kept = {names.get(name, name): memory for name, memory in sinks.items()}
            self.document["sinks"] = kept

    def _update_choice(
        self, choice: RunChoice, training: Mapping[str, Any], at: tuple[str, ...]
    ) -> Mapping[str, Any]:
        name, given = choice.find(training)
        if not name or name == choice.default:  # mypt's own has no plugin to ask
            return training
        now = find_name(choice.field, name, self._settings)
        if now != name:
            self._note(RENAMED, (*at, choice.field), f'is "{name}", which is called "{now}" today')
            training = {**training, choice.field: now}
        found = self._settings.get((choice.field, now))
        if found is None:
            return training
        made = self._update(found, given, name, (*at, choice.options))
        return training if made == given else {**training, choice.options: made}

    def _put(self, at: tuple[str, ...], training: Mapping[str, Any]) -> None:
        self.document = {**self.document, at[0]: training} if at else dict(training)

    def _find_present(self, field: str, name: str, given: Mapping[str, Any]) -> str:
        now = find_name(field, name, self._settings)
        return name if now in given else now

    def _update_options(
        self, field: str, now: str, name: str, options: Any, at: tuple[str, ...]
    ) -> Any:
        if now != name:
            self._note(RENAMED, at, f'is called "{now}" today')
        found = self._settings.get((field, now))
        if found is None or not isinstance(options, dict):
            return options
        return self._update(found, options, name, at)

    def rename_packages(self) -> None:
        """Rename packages in `requires`, and in the environment that a run had."""
        required = self.document.get(REQUIRES)
        if required:
            features = [self._rename_feature(feature) for feature in required]
            if features != required:
                self.document[REQUIRES] = list(dict.fromkeys(features))
        environment = self.document.get("environment")
        if environment and environment.get(PLUGINS):
            made = update_needs(environment[PLUGINS], self._settings)
            if made != environment[PLUGINS]:
                self.document["environment"] = {**environment, PLUGINS: made}
                self._note(RENAMED, ("environment", PLUGINS), "has packages with other names today")

    def _rename_feature(self, feature: str) -> str:
        package = package_of(feature)
        now = package if package is None else find_package(package, self._settings)
        if now is None or now == package:
            return feature
        self._note(RENAMED, (REQUIRES,), f'has "{feature}", which is {now} today')
        return make_feature(now)

    def _update(
        self, setting: Setting, given: Mapping[str, Any], name: str, at: tuple[str, ...]
    ) -> Mapping[str, Any]:
        """Return settings as the plugin writes them today."""
        if setting.update is None:
            return given
        origin = self._find_origin(setting, name)
        try:
            made = setting.update(dict(given), origin)
        except MyptError as error:
            log_traceback(error)
            self.notes += [
                Problem(self._file, json_pointer(at), problem.what, problem.fix, kind=problem.kind)
                for problem in error.problems
            ]
            return given
        if made != given:
            saved = f" of {origin.package} {origin.version}" if origin.version else ""
            what = f"has settings{saved}, which are read as {json.dumps(made, ensure_ascii=False)}"
            self._note(UPDATED, at, what)
        return made

    def _find_origin(self, setting: Setting, name: str) -> SettingsOrigin:
        """Return what settings were saved with, as far as the manifest records it."""
        needs = {normalize_package_name(name): need for name, need in self._needs.items()}
        for package in (setting.package, *setting.former_packages):
            if package in needs:
                return SettingsOrigin(name, package, needs[package].get("version"))
        return SettingsOrigin(name, setting.package, None)

    def _note(self, kind: str, at: tuple[str, ...], what: str) -> None:
        where = json_pointer(at)
        self.notes.append(Problem(self._file, where, what, _FIX, kind=kind, severity="note"))
