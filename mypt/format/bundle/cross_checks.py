"""Compare the files of a bundle with each other: all of them, whatever was wrong before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.bundle.edits import EDITED
from mypt.format.bundle.findings import collecting, unwrap_weights
from mypt.format.documents.manifest import TRAIN
from mypt.format.errors import Problem, has_errors
from mypt.format.layout import EMBEDDING, HEAD, are_parts_known, expected_tensors, trainable_shapes
from mypt.format.optimizers.declaration import ParameterInfo
from mypt.format.optimizers.indices import LEGACY_RULES, holds_indices
from mypt.format.rules.config import HEADS, MISSING, architecture_problems, layout_problems
from mypt.format.rules.cross_file import (
    DIGEST,
    SIZE,
    digest_problem,
    size_problems,
    state_problems,
    tokenizer_problems,
)
from mypt.format.rules.optimizers.doubts import doubt_problems, unknown_problem
from mypt.format.rules.optimizers.indexed import (
    convert_indexed,
    indexed_form_problems,
    possible_rules,
)
from mypt.format.rules.optimizers.state import form_problems, optimizer_problems
from mypt.format.rules.plugin_settings import (
    find_declaration,
    list_unusable,
    settings_problems,
)
from mypt.format.rules.requirements import (
    SCOPES,
    disagreement_problems,
    feature_problems,
    lacking_plugin_problems,
    soften_features,
    tokenizer_plugin_problems,
)
from mypt.format.rules.tensors import MISMATCH, TIED, Model, tensor_problems, untied_problem
from mypt.format.storage import files
from mypt.format.storage.generations import tagged_name
from mypt.format.tensors.pt_file import find_damaged_members, have_equal_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mypt.format.bundle.findings import Findings
    from mypt.format.documents.manifest import FileRecord
    from mypt.format.layout import Layouts
    from mypt.format.rules.plugin_settings import Settings
    from mypt.format.schema.check import Kind
    from mypt.format.tensors.pt_file import Header

# The kind of the one problem that keeps a valid bundle of version 1 from being opened as it is.
PER_HEAD = "legacy.heads"


def compare_documents(seen: Findings, layouts: Layouts, settings: Settings) -> None:
    """Compare the documents with each other, with what a model can be, and with its plugins."""
    for kind, scope in SCOPES.items():
        if scope.file in seen.documents:
            document, file = seen.documents[scope.file], seen.name(scope.file)
            unknown = soften_features(kind, feature_problems(kind, document, file))
            seen.problems.extend(unknown)
            if not unknown:  # what the document means is known
                seen.problems.extend(_CHECKS[kind](seen, layouts, settings))
    is_whole = all(s.file in seen.documents for s in SCOPES.values() if s.file in seen.paths)
    if seen.manifest is not None and is_whole:
        file = seen.name(files.MANIFEST)
        seen.problems.extend(disagreement_problems(seen.recorded_needs, seen.requires, file))


def _check_config(seen: Findings, layouts: Layouts, settings: Settings) -> list[Problem]:
    document, file = seen.documents[files.CONFIG], seen.name(files.CONFIG)
    unusable = list_unusable({**seen.needs, **document.get("plugins", {})}, settings)
    problems = settings_problems(document, file, settings)
    problems += architecture_problems(document, file, layouts, seen.needs, unusable)
    if all(problem.kind != MISSING for problem in problems):
        problems += lacking_plugin_problems("config", document, file, settings)
    if seen.config is not None and not has_errors(problems):
        problems += layout_problems(seen.config, file, layouts)
    return problems


def _check_tokenizer(seen: Findings, _: Layouts, settings: Settings) -> list[Problem]:
    document, file = seen.documents[files.TOKENIZER], seen.name(files.TOKENIZER)
    problems = settings_problems(document, file, settings)
    if seen.config is not None and seen.is_understood(files.CONFIG):
        problems += tokenizer_problems(document, seen.config.vocab_size, file)
    return problems + tokenizer_plugin_problems(document, file, settings, seen.needs)


def _check_state(seen: Findings, _: Layouts, settings: Settings) -> list[Problem]:
    document, file = seen.documents[files.TRAINING_STATE], seen.name(files.TRAINING_STATE)
    problems = settings_problems(document, file, settings)
    return problems + state_problems(document, seen.paths, file)


_CHECKS: Mapping[Kind, Callable[[Findings, Layouts, Settings], list[Problem]]] = {
    "config": _check_config,
    "tokenizer": _check_tokenizer,
    "training_state": _check_state,
}


def compare_tensors(seen: Findings, layouts: Layouts, settings: Settings, checksums: bool) -> None:
    """Compare the tensors with the config, and the optimizer's with them.

    A file that is not what was saved is compared with nothing: it is at fault, whatever follows.
    """
    config, header = seen.config, seen.headers.get(files.MODEL)
    if config is None or header is None or is_replaced(seen, files.MODEL):
        return
    if not (seen.is_understood(files.CONFIG) and are_parts_known(config, layouts)):
        return  # said already; what tensors such a model has, nobody here knows
    if config.head_size is None and config.n_embd % config.n_head:
        if config.n_kv_head is not None:
            return  # said already; the width of keys follows from that of a head
        config = evolve(config, n_head=1)  # said already; shapes show the width of all heads only
    if layout_problems(config, "", layouts):
        return  # said already, or what is wrong with its settings
    with collecting(seen.problems, header.file):
        header = unwrap_weights(header) if seen.is_legacy else header
        tensors = header.tensors()
        if seen.is_legacy and any(".sa.heads." in name for name in tensors):
            what = "has one matrix per attention head, as early releases of MyPT"
            fix = "convert it: mypt format migrate"
            problem = Problem(header.file, "", what, fix, kind=PER_HEAD, severity="warning")
            seen.problems.append(problem)
            return
        model = Model(config, tensors, layouts, seen.name(files.CONFIG), header.file)
        found = tensor_problems(model)
        if has_errors(found) and not checksums and (replaced := _find_replaced_weights(seen)):
            seen.problems.extend(replaced)
            return
        if checksums:
            found = _tied_problems(seen, model, header, found)
        if any(problem.kind == MISMATCH for problem in found):
            # a changed width explains why the heads do not divide it
            seen.problems[:] = [p for p in seen.problems if p.kind != HEADS]
        seen.problems.extend(found)
        _compare_optimizer(seen, model, settings, is_fitting=not has_errors(found))


def is_replaced(seen: Findings, name: str) -> bool:
    """Return whether the manifest has already shown that a file is not the one that was saved."""
    file = seen.name(name)
    return any(p.file == file and p.kind in (SIZE, DIGEST) for p in seen.problems)


def _find_replaced_weights(seen: Findings) -> list[Problem]:
    """Check by their digest whether the weights were replaced under an unchanged config."""
    listed, config = seen.manifest.files if seen.manifest else {}, seen.name(files.CONFIG)
    if files.MODEL not in listed or any(
        p.file == config and p.kind == EDITED for p in seen.problems
    ):
        return []
    return _content_problems(seen.paths[files.MODEL], seen.name(files.MODEL), listed[files.MODEL])


def _tied_problems(
    seen: Findings, model: Model, header: Header, found: list[Problem]
) -> list[Problem]:
    """Settle by their values whether tied matrices are equal."""
    if all(problem.kind != TIED for problem in found):
        return found
    others = [problem for problem in found if problem.kind != TIED]
    first, second = model.tensors[EMBEDDING], model.tensors[HEAD]
    if have_equal_values(seen.paths[files.MODEL], header, first, second):
        return others
    return [*others, untied_problem(header.file)]


def _compare_optimizer(
    seen: Findings, model: Model, settings: Settings, *, is_fitting: bool
) -> None:
    """Compare the optimizer's state with the parameters, as far as it is known what they are."""
    name = seen.optimizer_file
    if name not in seen.headers or is_replaced(seen, name):
        return
    if files.TRAINING_STATE in seen.documents and not seen.is_understood(files.TRAINING_STATE):
        return  # what state such a run has, nobody here knows
    file, contents = seen.name(name), seen.headers[name].contents
    is_indexed = seen.is_legacy or holds_indices(contents)  # as before the release of format 2.0
    if not is_fitting:
        check_form = indexed_form_problems if is_indexed else form_problems
        seen.problems.extend(check_form(contents, file))
        return
    state = None if seen.is_legacy else seen.documents.get(files.TRAINING_STATE)
    parameters = _list_parameters(model, in_file_order=seen.is_legacy)
    if is_indexed:
        shapes = {name: parameter.shape for name, parameter in parameters.items()}
        rules = LEGACY_RULES if seen.is_legacy else possible_rules(state)
        contents, problems = convert_indexed(contents, shapes, rules, file)
        if problems:
            seen.problems.extend(problems)
            return
    declaration = find_declaration(contents, settings)
    problems = optimizer_problems(contents, parameters, declaration, file)
    if not problems and declaration is None:
        packages = [p for p, need in seen.needs.items() if need["needed_for"] == [TRAIN]]
        problems.append(unknown_problem(contents["optimizer"], packages, file))
    if not has_errors(problems) and state is not None:
        problems += doubt_problems(contents, parameters, declaration, state, file)
    seen.problems.extend(problems)


def _list_parameters(model: Model, *, in_file_order: bool) -> dict[str, ParameterInfo]:
    """Return the parameters of a model that its tensors fit, in the order that counts."""
    tensors = model.tensors
    expected = tensors if in_file_order else expected_tensors(model.config, model.layouts)
    shapes = {name: tensors[name].shape for name in expected}
    return {
        name: ParameterInfo(name, shape, tensors[name].dtype)
        for name, shape in trainable_shapes(shapes, tied=model.config.tie_weights).items()
    }


def compare_records(seen: Findings, checksums: bool) -> None:
    """Compare the files with the manifest, or where there is none, with their own checksums."""
    listed = seen.manifest.files if seen.manifest else {}
    for name, path in seen.paths.items():
        if name in (files.CONFIG, files.TOKENIZER, files.TRAINING_STATE):
            continue
        file = seen.name(name)
        with collecting(seen.problems, file):
            found = []
            if name in listed and name in seen.sizes:
                found = size_problems(listed[name], seen.sizes[name], file)
            if checksums and not found:
                found = _content_problems(path, file, listed.get(name))
            seen.problems.extend(found)
    for name in listed:
        waiting = tagged_name(name, seen.manifest.generation) if seen.manifest else ""
        if name in seen.paths and seen.paths[name].name == waiting:
            what, fix = f"still waits as {waiting}", "nothing: the next save renames it"
            seen.problems.append(
                Problem(seen.name(name), "", what, fix, kind="commit.waiting", severity="note")
            )


def _content_problems(path: Path, file: str, record: FileRecord | None) -> list[Problem]:
    if record is None:
        what, fix = "does not have its checksum", "restore it from a copy"
        return [
            Problem(file, name, what, fix, kind="archive.checksum")
            for name in find_damaged_members(path, file)
        ]
    if files.digest_file(path, file) == record.sha256:
        return []
    return [digest_problem(file)]
