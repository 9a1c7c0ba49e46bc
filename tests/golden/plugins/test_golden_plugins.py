"""A package that was built for mypt 1.0 is installed, and each of its plugins used in a run."""

import hashlib
import json
import runpy
import shutil
import sys
import zipfile

import numpy as np
import pytest
import torch

import mypt
import mypt.plugins
from mypt.format.layout import SLOTS
from mypt.plugins import hookspecs
from mypt.plugins.manager import load_plugins
from tests.golden.plugins.training import (
    FLAGS,
    HERE,
    LINES,
    PARTS,
    PRESET,
    PROMPT,
    STORIES,
    WHEEL,
    install,
)
from tests.support.installed import others

EXPECTED = json.loads((HERE / "computed.json").read_text("utf-8"))
TRAIN = ("train", "--model_name", "m", *FLAGS)
PLAIN = (
    *("--input_file", "input.txt", "--device", "cpu", "--n_layer", "1", "--n_embd", "16"),
    *("--n_head", "2", "--block_size", "16", "--batch_size", "2", "--max_iters", "2"),
    *("--eval_interval", "2", "--eval_iters", "1"),
)
OFFERED = {
    "tokenizers": {"acme_words", "acme_bytes"},
    "optimizers": {"acme_signs"},
    "schedules": {"acme_stairs"},
    "losses": {"acme_focal", "acme_smooth"},
    "data_sources": {"acme_story"},
    "guards": {"acme_below"},
    "sinks": {"acme_lines"},
    "readers": {"acme_arrays"},
    "exporters": {"acme_arrays"},
    "commands": {"acme-count"},
    "logit_processors": {"acme_digits"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Give a folder with the package as pip installs it."""
    folder = tmp_path_factory.mktemp("site")
    install(folder)
    return folder


@pytest.fixture
def folder(site, in_tmp, monkeypatch):
    """Work in an empty folder, where the package is the only one with plugins."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    before = set(sys.modules)
    monkeypatch.syspath_prepend(site)
    (in_tmp / "input.story").write_text(STORIES)
    (in_tmp / "input.txt").write_text("".join(LINES))
    (in_tmp / "preset.json").write_text(json.dumps(PRESET))
    yield in_tmp
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "acme_every":
            del sys.modules[name]


@pytest.fixture
def plugins(folder):
    return load_plugins()


def works(answer):
    """Return what a command printed, if it worked and complained of nothing."""
    code, out, err = answer
    assert (code, err) == (0, "")
    return out


def test_the_package_is_as_it_was_built(tmp_path):
    assert hashlib.sha256(WHEEL.read_bytes()).hexdigest() == EXPECTED["wheel_sha256"]
    with zipfile.ZipFile(WHEEL) as archive:
        archive.extractall(tmp_path)
    sources = sorted((HERE / "sources" / "acme_every").glob("*.py"))
    assert len(sources) == 9
    for source in sources:
        assert source.read_bytes() == (tmp_path / "acme_every" / source.name).read_bytes()


def test_the_package_has_something_for_every_hook_and_every_slot():
    code = "".join(path.read_text() for path in (HERE / "sources" / "acme_every").glob("*.py"))
    hooks = [name for name in vars(hookspecs) if name.startswith("mypt_")]
    assert [name for name in hooks if f"def {name}(" not in code] == [], (
        "a hook that came later gets a golden package of its own beside this one"
    )
    assert PARTS.keys() | {"stack_type"} >= set(SLOTS)


def test_all_that_it_offers_is_registered_without_a_fault(folder, plugins, cli):
    for field, names in OFFERED.items():
        assert {name for name in getattr(plugins, field) if "acme" in name} == names, field
    parts = {(slot, name) for slot, name in plugins.parts if "acme" in name}
    named = {slot: name for slot, name in PARTS.items() if slot in SLOTS}
    assert parts == {*named.items(), ("stack_type", "acme_recalling")}
    listed = json.loads(works(cli("--strict-plugins", "plugins", "--json")))
    states = {entry["state"] for entry in listed["plugins"] if entry["package"] == "acme-every"}
    assert states == {"works"}


def test_a_model_of_then_opens_and_computes_what_it_did(folder):
    model = mypt.load(HERE / "bundle")
    ids = torch.tensor([EXPECTED["prompt_ids"]])
    assert model.tokenizer.encode(PROMPT) == EXPECTED["prompt_ids"]
    with torch.no_grad():
        logits = model(ids).numpy()
    np.testing.assert_allclose(logits, np.load(HERE / "computed_logits.npy"), atol=1e-5, rtol=0)
    assert model.generate(PROMPT, 12, temperature=0) == EXPECTED["text"]


def test_a_model_of_then_is_valid_and_trains_on(folder, cli):
    shutil.copytree(HERE / "bundle", folder / "checkpoints" / "m")
    works(cli("format", "validate", "m", "--checksums"))
    code, out, err = cli("train", "--model_name", "m", "--max_iters", 6)
    assert code == 0, err
    assert "Training finished" in out
    state = json.loads((folder / "checkpoints" / "m" / "training_state.json").read_text())
    assert (state["step"], state["exact"]) == (6, False)  # with another number of updates


def test_a_run_of_all_of_it_resumes_exactly(folder, cli, stop_at):
    works(cli(*TRAIN))
    unbroken = (folder / "heard.jsonl").read_text().splitlines()
    whole = {
        name: (folder / "checkpoints" / "m" / name).read_bytes()
        for name in ("config.json", "tokenizer.json", "model.pt", "optimizer.pt")
    }
    shutil.rmtree(folder / "checkpoints")
    (folder / "heard.jsonl").unlink()
    stop_at(2)
    assert cli(*TRAIN)[0] == 1
    stop_at(None)
    works(cli("train", "--model_name", "m"))
    for name, data in whole.items():
        assert (folder / "checkpoints" / "m" / name).read_bytes() == data, name
    heard = [json.loads(line) for line in (folder / "heard.jsonl").read_text().splitlines()]
    built = [line for line in heard if line["event"] == "built"]
    assert [line["resumed"] for line in built] == [False, True]
    assert built[1]["heard"] > 0  # what `state` gave, from the bundle
    losses = [line for line in heard if line["event"] == "eval"]
    assert losses == [json.loads(line) for line in unbroken if '"eval"' in line]


def test_what_it_trains_is_decided_by_its_guard_loss_and_schedule(folder, cli):
    works(cli(*TRAIN))
    log = (folder / "logs" / "train" / "m_eval.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    blocked = [event["reason"] for event in events if event["event"] == "gold_blocked"]
    assert blocked == ["the first"]
    rates = [event["lr"] for event in events if event["event"] == "eval"]
    assert rates == pytest.approx([3e-4, 1.65e-4, 1.65e-4])  # min_lr is a tenth of the peak
    assert (folder / "checkpoints" / "m_step00000002").is_dir()  # where its decay begins


def test_its_stack_its_other_tokenizer_and_mypts_loss_train_and_write(folder, cli):
    preset = {
        "stack_type": "acme_recalling",
        "tokenization": "acme_bytes",
        "loss": "acme_smooth",
        "head_bias": False,
    }
    (folder / "preset.json").write_text(json.dumps(preset))
    works(cli("train", "--model_name", "m", "--config_file", "preset.json", *PLAIN))
    named = '{"acme_digits": {"count": 3}}'
    out = works(cli("generate", "m", "--prompt", "mat ", "--processors", named, "--json"))
    assert len(json.loads(out)["text"].removeprefix("mat ")) == 3
    model = mypt.load("m")
    cached, whole = model.generate("the", 6, temperature=0), model.tokenizer.encode("the")
    for _ in range(6):
        with torch.no_grad():
            logits = model(torch.tensor([whole[-16:]]))
        whole.append(int(logits[0, -1].argmax()))
    assert cached == model.tokenizer.decode(whole)
    assert works(cli("acme-count", "m", "--times", 2)) == f"{model_size(model)}\n" * 2


def model_size(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_its_exporter_writes_what_its_reader_reads(folder, cli):
    (folder / "preset.json").write_text(json.dumps({"tokenization": "acme_words"}))
    works(cli("train", "--model_name", "m", "--config_file", "preset.json", *PLAIN))
    code, out, err = cli("export", "m", "--to", "acme_arrays", "--output", "m.acme")
    assert code == 0, err
    assert "the tokenizer is left out" in out + err
    code, _, err = cli("inspect", "m.acme")
    assert code == 1
    assert "n_head" in err
    told = {"n_head": 2}
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        logits = mypt.load("m")(ids), mypt.load("m.acme", options=told)(ids)
    assert torch.equal(*logits)
    code, out, err = cli("export", HERE / "bundle", "--to", "acme_arrays", "--output", "no")
    assert code == 1
    assert "the arrays have learned positions only" in err


def test_its_words_are_exported_for_transformers(folder, cli):
    pytest.importorskip("tokenizers")
    from tokenizers import Tokenizer

    (folder / "preset.json").write_text(json.dumps({"tokenization": "acme_words"}))
    works(cli("train", "--model_name", "m", "--config_file", "preset.json", *PLAIN))
    code, _, err = cli("export", "m", "--to", "hf", "--output", "exported")
    assert code == 0, err
    exported = Tokenizer.from_file(str(folder / "exported" / "tokenizer.json"))
    assert exported.encode("the cat, 7!").ids == mypt.load("m").tokenizer.encode("the cat, 7!")


def test_its_former_name_and_settings_are_brought_up_to_date(folder, cli):
    preset = {"mlp_type": "acme_leak", "plugins": {"acme-every": {"percent": 5}}}
    (folder / "preset.json").write_text(json.dumps(preset))
    code, _, err = cli("train", "--model_name", "m", "--config_file", "preset.json", *PLAIN)
    assert code == 0, err
    config = json.loads((folder / "checkpoints" / "m" / "config.json").read_text())
    assert config["mlp_type"] == "acme_leaky"
    assert config["plugins"]["acme-every"] == {"slope": 0.05}


def test_the_kit_for_its_tests_still_takes_it(folder, plugins):
    """The checks are contracts too: a package of then runs them in its own tests."""
    from mypt import testing

    assert testing.check_schedule(plugins.schedules["acme_stairs"], {"every": 1})[:2] == [1.0, 0.5]
    assert len(testing.check_loss(plugins.losses["acme_focal"])) == 12
    stories = plugins.data_source("acme_story")
    (folder / "two.story").write_text("One.\n***\nTwo.\n")
    assert testing.check_data_source(stories, folder / "two.story") == ["One.\n", "Two.\n"]
    assert testing.check_guard(plugins.guards["acme_below"])[0] == "the first"
    assert testing.check_command(plugins.command("acme-count"))
    leaky = plugins.parts["mlp_type", "acme_leaky"]
    testing.check_update(leaky, {"percent": 5}, {"slope": 0.05}, version="0.9")
    words = testing.check_tokenizer(
        plugins.tokenizer("acme_words"), text="".join(LINES[:80]), is_lossless=False
    )
    testing.check_logit_processor(
        plugins.logit_processors["acme_digits"], words, options={"count": 2}
    )
    kept = testing.check_optimizer(plugins.optimizers["acme_signs"])
    assert {name for entry in kept.values() for name in entry} == {"momentum", "seen"}


def test_the_scripts_that_made_it_leave_it_alone():
    before = {path: path.read_bytes() for path in HERE.rglob("*") if path.is_file()}
    runpy.run_module("tests.golden.plugins.write_plugins", run_name="__main__")
    assert {path: path.read_bytes() for path in before} == before
