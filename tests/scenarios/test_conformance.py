"""The conformance suite: mypt finds what the index says, and another reader reads the same."""

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from mypt.engine.checkpoints.build import build_model
from mypt.engine.language_model import LanguageModel
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import FormatError, MyptError
from mypt.format.open import open_checkpoint
from mypt.format.readers import mypt_file
from mypt.format.rules.documents import document_problems
from mypt.format.schema import strict_json
from mypt.format.tensors.pt_file import load_tensors
from mypt.format.tensors.pt_writer import write_tensors
from mypt.format.validate import validate
from mypt.plugins.requirements import check_run
from tests.support.paths import FIXTURES, ROOT, SUITE

WRITER = "tests.support.conformance.write_suite"
READER = ROOT / "tests" / "support" / "conformance" / "reader.py"
INDEX = json.loads((SUITE / "index.json").read_text("utf-8"))
SCHEMAS = ROOT / "schemas"
EARLIER = FIXTURES / "mypt"
CHANGED = ("manifest.edited", "manifest.reformatted")
LEGACY = sorted(EARLIER.glob("*_char*/*.pt")) + sorted(EARLIER.glob("gpt2_special/*.pt"))


def each(kind, valid):
    cases = [case for case in INDEX[kind] if case["valid"] is valid]
    return pytest.mark.parametrize("case", cases, ids=lambda case: case["path"])


def of_severity(problems, severity):
    return sorted((p.where, p.kind) for p in problems if p.severity == severity)


def told(case, what):
    return sorted((entry["where"], entry["kind"]) for entry in case.get(what, []))


def check_file(case):
    path = SUITE / case["path"]
    try:
        document = strict_json.parse(path.read_bytes(), path.name)
    except FormatError as error:
        return list(error.problems)
    return document_problems(case["kind"], document, path.name)


@each("documents", valid=True)
def test_a_valid_document_is_taken_with_the_warnings_told(case):
    problems = check_file(case)
    assert of_severity(problems, "error") == []
    assert of_severity(problems, "warning") == told(case, "warnings")


@each("documents", valid=False)
def test_an_invalid_document_is_refused_at_the_place_and_for_the_reason_told(case):
    assert of_severity(check_file(case), "error") == told(case, "errors")


def found_in(case):
    """Give file, place, kind and severity of all that mypt finds in a bundle."""
    folder = SUITE / case["path"]
    for problem in validate(folder, checksums=case.get("checksums", False)):
        file = Path(problem.file).relative_to(folder).as_posix()
        yield ("" if file == "." else file, problem.where, problem.kind, problem.severity)


def expected_in(case):
    for key, severity in (("errors", "error"), ("warnings", "warning")):
        for entry in case.get(key, []):
            yield (entry["file"], entry["where"], entry["kind"], severity)


def without_notes(found):
    return sorted(problem for problem in found if problem[3] != "note")


@each("bundles", valid=True)
def test_a_valid_bundle_is_taken_with_the_warnings_told(case):
    assert without_notes(found_in(case)) == sorted(expected_in(case))
    with_checksums = without_notes(found_in(case | {"checksums": True}))
    others = [p for p in with_checksums if p[2] not in CHANGED]  # the one thing it adds
    assert others == sorted(p for p in expected_in(case) if p[2] not in CHANGED)
    is_changed = "edited" in case["path"] or "another_form" in case["path"]
    assert (len(with_checksums) > len(others)) == is_changed


@each("bundles", valid=False)
def test_an_invalid_bundle_is_refused_at_the_place_and_for_the_reason_told(case):
    found = without_notes(found_in(case))
    errors = [problem for problem in found if problem[3] == "error"]
    assert errors == sorted(expected_in(case))


def test_the_suite_is_what_its_script_writes(tmp_path):
    command = [sys.executable, "-m", WRITER, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    for folder in (tmp_path, SUITE):
        assert (folder / "bundles").is_dir()
    written = {p.relative_to(tmp_path): p for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(SUITE): p for p in SUITE.rglob("*") if p.is_file()}
    own = {name: path for name, path in kept.items() if name.parts[0] not in ("seeds", "README.md")}
    assert written.keys() == own.keys(), f"run: python -m {WRITER}"
    for name, path in written.items():
        assert path.read_bytes() == kept[name].read_bytes(), name


def test_every_document_and_bundle_is_in_the_index():
    listed = {case["path"] for kind in INDEX.values() for case in kind}
    documents = {p.relative_to(SUITE).as_posix() for p in SUITE.glob("*/**/*.json")}
    folders = {p.relative_to(SUITE).as_posix() for p in SUITE.glob("bundles/*/*")}
    folders |= {p.relative_to(SUITE).as_posix() for p in SUITE.glob("files/*")}
    assert listed == folders | {name for name in documents if not name.startswith("bundles/")}


# --- the reader written from the specification alone


@pytest.fixture(scope="module")
def reader():
    path = READER
    spec = importlib.util.spec_from_file_location("conformance_reader", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def raw(value):
    """Give a value of torch's with (dtype, shape, bytes) for each tensor, as the reader does."""
    import torch

    if isinstance(value, torch.Tensor):
        flat = value.contiguous().reshape(-1).view(torch.uint8) if value.numel() else value
        data = flat.numpy().tobytes() if value.numel() else b""
        return (str(value.dtype).removeprefix("torch."), tuple(value.shape), data)
    if isinstance(value, dict):
        return {key: raw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(raw(item) for item in value)
    return value


@each("bundles", valid=True)
def test_another_reader_reads_the_same_tensors(case, reader):
    if "read" in case.get("refused", ()):
        pytest.skip("nobody reads it without the plugin")
    folder = SUITE / case["path"]
    read = reader.read_bundle(folder, SCHEMAS)
    if "per_head" in case["path"]:  # opened by way of a migration only
        assert read["model.pt"] == raw(load_tensors(folder / "model.pt", "model.pt"))
        return
    bundle = read_bundle(folder)
    assert read["model.pt"] == raw(bundle.weights())
    if bundle.format_version == "1" and "optimizer.pt" in read:
        assert read["optimizer.pt"] == raw(load_tensors(folder / "optimizer.pt", "optimizer.pt"))
    elif bundle.optimizer() is not None:
        assert read["optimizer.pt"] == raw(bundle.optimizer())
    assert read["config.json"]["n_layer"] == bundle.config.n_layer
    state = read.get("training_state.json")
    assert (state and state["step"]) == (bundle.training_state and bundle.training_state.step)


@each("bundles", valid=True)
def test_another_reader_finds_the_same_edits(case, reader):
    found = {}
    for file, where, kind, _ in found_in(case):
        if kind == "manifest.edited":
            found.setdefault(file, []).append(where)
    assert reader.find_edits(SUITE / case["path"], SCHEMAS) == {
        name: sorted(places) for name, places in found.items()
    }


@each("bundles", valid=False)
def test_another_reader_refuses_the_same_file(case, reader):
    with pytest.raises(reader.RefusedError) as refused:
        reader.read_bundle(SUITE / case["path"], SCHEMAS)
    # that it is rather the config than the weights that was changed takes a guess
    files = {"model.pt" if e["kind"] == "config.mismatch" else e["file"] for e in case["errors"]}
    assert refused.value.file in files or files == {""}


PURPOSES = ("read", "generate", "train")
REQUIRING = [c for c in INDEX["bundles"] if c["valid"] or "refused" in c]


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("case", REQUIRING, ids=lambda case: case["path"])
def test_another_reader_refuses_what_it_is_told_to_and_nothing_else(case, purpose, reader):
    folder = SUITE / case["path"]
    if purpose not in case.get("refused", ()):
        reader.read_bundle(folder, SCHEMAS, purpose)
        return
    with pytest.raises(reader.RefusedError) as refused:
        reader.read_bundle(folder, SCHEMAS, purpose)
    assert refused.value.where in ("/requires/0", "/plugins", "/token_kind")


def use(folder, purpose, plugins):
    """Do with a bundle what a purpose stands for, without a GPU or a data set."""
    opened = open_checkpoint(folder, plugins)
    if purpose == "generate":
        if opened.tokenizer is None:
            opened.check_tokenizer()
        else:
            LanguageModel.need_tokenizer(build_model(opened, plugins, cls=LanguageModel))
    elif purpose == "train":
        opened.check_flaws()
        state = opened.training_state
        training = TrainingConfig() if state is None else state.training_config
        check_run(state, training, opened.needs, plugins, folder)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("case", REQUIRING, ids=lambda case: case["path"])
def test_mypt_refuses_what_it_is_told_to_and_nothing_else(case, purpose, plugins):
    folder = SUITE / case["path"]
    if purpose not in case.get("refused", ()):
        use(folder, purpose, plugins)
        return
    with pytest.raises(MyptError) as refused:
        use(folder, purpose, plugins)
    kinds = {problem.kind.partition(".")[0] for problem in refused.value.problems}
    assert kinds <= {"feature", "plugin"}


def test_what_nobody_may_do_without_a_plugin_is_in_the_suite_on_both_sides():
    found = {tuple(case.get("refused", ())) for case in REQUIRING}
    assert found == {(), PURPOSES, ("generate",), ("train",)}


def test_another_reader_finds_damage_that_leaves_a_manifest_well_formed(reader, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(SUITE / "bundles/valid/manifest_with_checksum", folder)
    manifest = (folder / "manifest.json").read_text("utf-8")
    (folder / "manifest.json").write_text(manifest.replace('"generation": 1', '"generation": 3'))
    with pytest.raises(reader.RefusedError, match="/checksum"):
        reader.read_bundle(folder, SCHEMAS)


@pytest.mark.parametrize("case", INDEX["files"], ids=lambda case: case["path"])
def test_a_single_file_of_version_0_is_known_by_its_content(case, reader):
    path = SUITE / case["path"]
    assert mypt_file.recognises(path)
    assert reader.read_file(path) == raw(load_tensors(path, path.name))


@pytest.mark.skipif(not LEGACY, reason="the earlier checkpoints are not beside this checkout")
@pytest.mark.parametrize("path", LEGACY, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_another_reader_reads_the_same_out_of_what_earlier_programs_wrote(path, reader):
    assert reader.read_file(path) == raw(load_tensors(path, path.name))


FOLDERS = [path.parent for path in LEGACY if path.name == "model.pt"]


@pytest.mark.skipif(not FOLDERS, reason="the earlier checkpoints are not beside this checkout")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_another_reader_takes_the_folders_of_earlier_programs(folder, reader):
    read = reader.read_bundle(folder, SCHEMAS)
    weights = load_tensors(folder / "model.pt", "model.pt")
    assert read["model.pt"] == raw(weights.get("state_dict", weights))


def test_the_other_reader_is_short_and_uses_nothing_of_mypt():
    source = (READER).read_text("utf-8")
    code = re.sub(r'^ *""".*?"""$', "", source, flags=re.MULTILINE | re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) < 550
    imported = {
        line.split()[1] for line in source.splitlines() if line.startswith(("from ", "import "))
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ["complete", "rope_swiglu_rmsnorm_tied", "bfloat16", "float16"])
def test_mypt_writes_the_archives_of_the_suite_bit_for_bit(name, tmp_path):
    for path in (SUITE / "bundles" / "valid" / name).glob("*.pt"):
        with (tmp_path / path.name).open("wb") as stream:
            write_tensors(stream, load_tensors(path, path.name))
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_suite_holds_what_every_dtype_of_the_specification_looks_like():
    with (SUITE / "bundles/valid/bfloat16/model.pt").open("rb") as stream:
        assert struct.pack("<f", -127 / 256)[2:] in stream.read()
