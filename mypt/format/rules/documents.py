"""Check one document by itself, in the order of its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.errors import Problem, has_errors
from mypt.format.layout import BUILT_IN
from mypt.format.rules.config import architecture_problems, layout_problems
from mypt.format.rules.curriculum import batch_schedule_problems, curriculum_problems
from mypt.format.rules.plugin_sections import preset_problems
from mypt.format.rules.plugin_settings import (
    NO_SETTINGS,
    knows_plugins,
    list_unusable,
    settings_problems,
)
from mypt.format.rules.requirements import (
    REQUIRES,
    SCOPES,
    explain_by_features,
    feature_problems,
    lacking_plugin_problems,
    merge_needs,
)
from mypt.format.schema.check import check_document
from mypt.format.storage.generations import manifest_problems

if TYPE_CHECKING:
    from mypt.format.documents.convert import Document
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind


def document_problems(
    kind: Kind,
    document: Document,
    file: str,
    layouts: Layouts = BUILT_IN,
    settings: Settings = NO_SETTINGS,
) -> list[Problem]:
    """Return everything wrong with one document by itself, in the order of its fields.

    Args:
        kind: The kind of document.
        document: Parsed JSON.
        file: Its name, for messages.
        layouts: The known architecture parts.
        settings: The schemas of plugins' settings.
    """
    if kind == "manifest":
        return manifest_problems(document, file)
    problems = explain_by_features(kind, document, file, check_document(kind, document, file))
    if kind in SCOPES and not has_errors(problems):
        problems += feature_problems(kind, document, file)
    if kind in ("config", "preset") and not has_errors(problems):
        needs = merge_needs({}, {"config": document.get(REQUIRES, ())})
        unusable = list_unusable({**needs, **document.get("plugins", {})}, settings)
        found = architecture_problems(document, file, layouts, needs, unusable)
        problems += [evolve(problem, severity="error") for problem in found]
    if kind in ("training_state", "preset") and not has_errors(problems):
        at = "/training_config" if kind == "training_state" else ""
        training = document.get("training_config", {}) if at else document
        problems += curriculum_problems(training, file, at)
        problems += batch_schedule_problems(training, file, at)
    if kind == "config" and not has_errors(problems):
        lacking = lacking_plugin_problems(kind, document, file, settings)
        problems += [evolve(problem, severity="error") for problem in lacking]
    if kind == "tokenizer" and not has_errors(problems):
        problems += lacking_plugin_problems(kind, document, file, settings)
    if not has_errors(problems):
        check = preset_problems if kind == "preset" else settings_problems
        problems += check(document, file, settings)
    # A part may take for granted that its options fit; those of a preset may come from flags too.
    are_options_checked = kind == "config" or (kind == "preset" and knows_plugins(settings))
    if are_options_checked and not has_errors(problems):
        problems += layout_problems(from_document(GPTConfig, document), file, layouts)
    return problems
