"""Checkpoints that real programs wrote open for ever, with the numbers that those computed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import frozen

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.bundle.write import save_bundle
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.readers.plugin import mypt_legacy_readers
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.files import BUNDLE_FILES
from mypt.format.validate import validate
from mypt.format.version import FORMAT_VERSION
from mypt.plugins.manager import load_plugins

GOLDEN = Path(__file__).resolve().parent
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*/expected.json"))
BUNDLES = [folder for folder in FOLDERS if folder.name.startswith("bundle_")]
WITHOUT_OPTIMIZER = {
    "mypt_gpt_step",  # its release saves none before the end
    "mypt_bundle_fp16",  # for inference
    "build_llm_lora",  # mypt merges the adapters, and their moments fit nothing then
    "lightning_nanogpt",
    "hugging_face_gpt2",
    "hugging_face_llama",
    "torch_dcp",
    "gguf_llama",
    "litgpt_llama",
    "llama2c_bin",
}
MAX_BYTES = 1_350_000  # of all of it: every clone carries it


@frozen
class Golden:
    """A checkpoint, what has to be told of it, and what its program computes of a prompt."""

    path: Path
    options: dict
    prompt: torch.Tensor
    logits: np.ndarray


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def golden(request):
    return read_golden(request.param)


def read_golden(folder):
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    options = expected["options"]
    for name in ("training_text", "like"):  # of a file beside the checkpoint
        if name in options:
            options[name] = str(folder / "checkpoint" / options[name])
    prompt = torch.tensor([expected["prompt_ids"]])
    logits = np.load(folder / "expected_logits.npy")
    return Golden(folder / expected["checkpoint"], options, prompt, logits)


def compute_logits(path, prompt, **options):
    model = mypt.load(path, **options)
    with torch.no_grad():
        return model(prompt).numpy()


def find_errors(path, readers=()):
    layouts = load_plugins().layouts
    found = validate(path, layouts, readers, checksums=True)
    return [problem for problem in found if problem.severity == "error"]


def test_the_logits_are_those_of_the_program_that_wrote_it(golden):
    logits = compute_logits(golden.path, golden.prompt, options=golden.options)
    np.testing.assert_allclose(logits, golden.logits, atol=1e-5, rtol=0)


def test_nothing_is_wrong_with_it(golden, plugins):
    assert find_errors(golden.path, tuple(plugins.readers.values())) == []


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f not in BUNDLES], ids=lambda f: f.name)
def test_it_becomes_a_bundle_of_the_same_values(folder, plugins, tmp_path):
    golden = read_golden(folder)
    migrator = Migrator(
        readers=tuple(plugins.readers.values()),
        written_by="the tests",
        layouts=plugins.layouts,
        options=golden.options,
    )
    report = migrator.migrate(golden.path, tmp_path / "bundle")
    assert report.result == "migrated"
    assert find_errors(tmp_path / "bundle") == []
    before = open_checkpoint(golden.path, plugins, golden.options)
    after = open_checkpoint(tmp_path / "bundle", plugins)
    assert after.format == FORMAT_VERSION
    assert (after.config, after.tokenizer) == (before.config, before.tokenizer)
    assert (after.optimizer() is None) == (before.optimizer() is None)
    logits = compute_logits(tmp_path / "bundle", golden.prompt)
    np.testing.assert_allclose(logits, golden.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_optimizer_has_moments_for_every_weight(folder, plugins):
    golden = read_golden(folder)
    opened = open_checkpoint(golden.path, plugins, golden.options)
    state = opened.optimizer()
    assert (state is None) == (folder.name in WITHOUT_OPTIMIZER)
    if state is not None:
        model = mypt.load(golden.path, options=golden.options)
        assert opened.training_state.step > 0
        for moment in ("exp_avg", "exp_avg_sq"):
            held = sum(entry[moment].numel() for entry in state["state"].values())
            assert held == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_a_bundle_is_written_again_byte_for_byte(folder, tmp_path):
    bundle = read_bundle(folder / "checkpoint")
    if bundle.format_version != FORMAT_VERSION:
        pytest.skip("mypt writes the current version alone")
    with open_for_writing(tmp_path / "again") as writer:
        save_bundle(
            writer,
            config=bundle.config,
            tokenizer=bundle.tokenizer,
            training_state=bundle.training_state,
            weights=bundle.weights(),
            optimizer=bundle.optimizer(),
            written_by="the tests",
        )
    for name in BUNDLE_FILES:
        kept, again = bundle.folder / name, tmp_path / "again" / name
        assert again.read_bytes() == kept.read_bytes(), name


def test_every_reader_and_the_current_format_has_one():
    plugins = load_plugins()
    own = {reader.name for reader in mypt_legacy_readers()}
    opened = {open_checkpoint(g.path, plugins, g.options).format for g in map(read_golden, FOLDERS)}
    assert opened == own | {FORMAT_VERSION}


def test_every_folder_is_in_the_table():
    table = (GOLDEN / "README.md").read_text("utf-8")
    for folder in FOLDERS:
        commit = json.loads((folder / "expected.json").read_text("utf-8"))["commit"]
        (line,) = (line for line in table.splitlines() if line.startswith(f"| `{folder.name}`"))
        assert commit[:7] in line


def test_all_of_it_is_small():
    held = (path for folder in FOLDERS for path in folder.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in held) < MAX_BYTES
