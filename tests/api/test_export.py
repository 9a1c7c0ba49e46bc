"""`export_model`: the one door to every exporter."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from attrs import evolve

import mypt
from mypt.format.storage.lock import LOCK_FILE, file_lock
from mypt.plugins import ExporterFactory, Problem, hookimpl
from mypt.testing import registered

SIZES = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 2, "vocab_size": 16}
SCHEMA = {"properties": {"dtype": {"enum": ["float32"]}}}


def say_no_biases(config):
    """Refuse the biases of the output layer and of norms, as most programs do."""
    return [
        Problem("config.json", f"/{name}", "is true", "leave it out")
        for name, has in (("head_bias", config.has_head_bias), ("norm_bias", config.has_norm_bias))
        if has
    ]


@pytest.fixture
def seen():
    return []


@pytest.fixture
def plugins(seen):
    def write(model, path, options):
        seen.append((model, options))
        path.mkdir()
        (path / "model").write_text("of another program")
        return ["folded"]

    factory = ExporterFactory("mine", "Mine", explain=say_no_biases, write=write, options=SCHEMA)
    lenient = evolve(factory, name="any", explain=lambda _: [])
    return registered(SimpleNamespace(mypt_exporters=hookimpl(lambda: [factory, lenient])))


@pytest.fixture
def model(tmp_path):
    def make(**fields):
        made = mypt.GPT(mypt.GPTConfig(**SIZES, **fields))
        made.save(tmp_path / "model")
        return made

    return make


def test_biases_that_are_zero_are_left_out_where_the_program_has_none(
    model, plugins, seen, tmp_path
):
    model(qkv_bias=True, head_bias=True)
    notes = mypt.export_model(tmp_path / "model", "mine", tmp_path / "out", plugins=plugins)
    ((exported, _),) = seen
    assert not exported.config.has_head_bias
    assert exported.config.has_qkv_bias  # the program has it
    left_out = [note for note in notes if note.endswith(" is left out: it is zero")]
    assert "lm_head.bias is left out: it is zero" in left_out
    assert len(left_out) == 1 + 2 * 2 + 1
    assert "blocks.0.ln1.bias" not in exported.weights
    assert "blocks.0.sa.qkv.bias" in exported.weights


@pytest.mark.parametrize("name", ["lm_head.bias", "blocks.1.ln2.bias"])
def test_a_bias_that_is_not_zero_is_a_reason(model, plugins, tmp_path, name):
    made = model(head_bias=True)
    with torch.no_grad():
        made.get_parameter(name)[3] = 0.5
    made.save(tmp_path / "model", overwrite=True)
    field = "head_bias" if name.startswith("lm_head") else "norm_bias"
    with pytest.raises(mypt.FormatError) as refused:
        mypt.export_model(tmp_path / "model", "mine", tmp_path / "out", plugins=plugins)
    assert [problem.where for problem in refused.value.problems] == [f"/{field}"]
    assert not (tmp_path / "out").exists()


def test_a_used_target_is_refused_whatever_it_is(model, plugins, seen, tmp_path):
    model()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    for used in ("file", "model"):
        with pytest.raises(mypt.UsageError, match="exists already and is not an empty folder"):
            mypt.export_model(tmp_path / "model", "mine", tmp_path / used, plugins=plugins)
    assert not seen
    mypt.export_model(tmp_path / "model", "mine", tmp_path / "empty", plugins=plugins)
    assert (tmp_path / "empty" / "model").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "model"]


def test_options_of_the_reader_and_of_the_exporter_come_together(fixtures, plugins, seen, tmp_path):
    folder = fixtures / "foreign" / "build_llm_lora"
    source = next(folder.glob("*.pt"))
    of_reader = {"lora_alpha": 32, "training_text": f"{folder}/advice_letters.txt"}
    for odd in ({"lora_alhpa": 1}, {"dtype": "float8"}):
        with pytest.raises(mypt.UsageError, match=f"options/{next(iter(odd))}"):
            mypt.export_model(
                source, "any", tmp_path / "out", plugins=plugins, options={**of_reader, **odd}
            )
    options = {**of_reader, "dtype": "float32"}
    mypt.export_model(source, "any", tmp_path / "out", plugins=plugins, options=options)
    assert seen[0][1] == {"dtype": "float32"}
    assert seen[0][0].build_tokenizer().encode("a")


def test_a_model_without_a_tokenizer_says_so_where_one_is_asked_for(model, plugins, seen, tmp_path):
    model()
    mypt.export_model(tmp_path / "model", "mine", tmp_path / "out", plugins=plugins)
    with pytest.raises(mypt.FormatError, match="model: has no tokenizer"):
        seen[0][0].build_tokenizer()


def test_the_next_export_removes_what_a_killed_one_has_left(model, tmp_path):
    """The process ends without a chance to clean up, when its file is written."""
    model()
    work = tmp_path / ".out.mypt-export"
    die = (
        "import os, sys, mypt\n"
        "from types import SimpleNamespace\n"
        "from mypt.plugins import ExporterFactory, hookimpl\n"
        "from mypt.testing import registered\n"
        "def write(model, path, options):\n"
        "    path.mkdir()\n"
        "    (path / 'half').write_text('half')\n"
        "    os._exit(9)\n"
        "factory = ExporterFactory('mine', 'Mine', explain=lambda _: [], write=write)\n"
        "plugins = registered(SimpleNamespace(mypt_exporters=hookimpl(lambda: [factory])))\n"
        "mypt.export_model(sys.argv[1], 'mine', sys.argv[2], plugins=plugins)\n"
    )
    paths = [str(tmp_path / "model"), str(tmp_path / "out")]
    assert subprocess.run([sys.executable, "-c", die, *paths], check=False).returncode == 9
    assert (work / "out" / "half").exists()
    assert not (tmp_path / "out").exists()
    assert [entry["name"] for entry in mypt.list_checkpoints(tmp_path)] == ["model"]
    mypt.export_model(tmp_path / "model", "hf", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_an_export_that_was_killed_right_after_its_end_leaves_nothing_after_the_next(
    model, plugins, tmp_path
):
    model()
    mypt.export_model(tmp_path / "model", "any", tmp_path / "out", plugins=plugins)
    work = tmp_path / ".out.mypt-export"  # as it is between the renaming and the removal
    work.mkdir()
    (work / LOCK_FILE).write_text('{"host": "here", "pid": 1, "since": "then"}')
    for _ in range(2):
        with pytest.raises(mypt.UsageError, match="out: exists already and is not an empty folder"):
            mypt.export_model(tmp_path / "model", "any", tmp_path / "out", plugins=plugins)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]
    assert (tmp_path / "out" / "model").exists()


def test_two_exports_to_one_place_do_not_meet(model, plugins, tmp_path):
    model()
    work = tmp_path / ".out.mypt-export"
    work.mkdir()
    (work / "others").write_text("being written")
    with (
        file_lock(work / LOCK_FILE, work, fix=""),
        pytest.raises(mypt.MyptError, match="out: is being written by process"),
    ):
        mypt.export_model(tmp_path / "model", "any", tmp_path / "out", plugins=plugins)
    assert (work / "others").exists()
    assert not (tmp_path / "out").exists()
