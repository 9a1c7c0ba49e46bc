"""A plugin whose next version computes something else: no resume is exact, no text unwarned."""

import json
import logging
import shutil
import sys
from importlib import invalidate_caches

import pytest
from attrs import evolve

import mypt
from mypt.plugins.manager import load_plugins
from tests.support.installed import GUARD, install, others

PART = """
from torch import nn
from mypt.plugins import PartFactory, hookimpl

class Scale(nn.Module):
    def forward(self, x):
        return x * {factor}

@hookimpl
def mypt_parts():
    return [PartFactory("norm_type", "acme_scale", build=lambda config: Scale())]
"""
CODE = {
    "part": lambda version: PART.format(factor=version),
    "guard": lambda version: GUARD.format(name="lenient"),
}
PRESETS = {"part": {"norm_type": "acme_scale"}, "guard": {"gold_guards": {"lenient": {}}}}
TRAIN = ("train", "--model_name", "m", "--device", "cpu")
NEW = (
    *("--input_file", "input.txt", "--tokenization", "char", "--eval_iters", 1),
    *("--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8, "--eval_interval", 2),
    *("--config_file", "preset.json", "--max_iters", 4),
)


@pytest.fixture
def run(in_tmp, text, cli, monkeypatch, stop_at):
    """Give what trains for two of four steps with version 1.0, and then has another one."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    (in_tmp / "input.txt").write_text(text)
    packages = in_tmp / "site-packages"

    def provide(kind, version, package="acme"):
        shutil.rmtree(packages, ignore_errors=True)
        sys.modules.pop("acme", None)
        install(packages, package, CODE[kind](version), module="acme", version=version)
        shutil.rmtree(packages / "__pycache__", ignore_errors=True)
        invalidate_caches()

    def begin(kind, version, package="acme"):
        provide(kind, "1.0")
        monkeypatch.syspath_prepend(packages)
        (in_tmp / "preset.json").write_text(json.dumps(PRESETS[kind]))
        stop_at(2)
        code, _, err = cli(*TRAIN, *NEW)
        assert code == 1, err
        stop_at(None)
        provide(kind, version, package)
        return in_tmp / "checkpoints" / "m"

    yield begin
    sys.modules.pop("acme", None)


def state_of(folder):
    return json.loads((folder / "training_state.json").read_text())


@pytest.mark.parametrize("kind", CODE)
def test_a_resume_with_another_version_is_not_exact(kind, run, cli):
    folder = run(kind, "2.0")
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    state = state_of(folder)
    reason = "step 2: the plugin acme changed from 1.0 to 2.0"
    assert (state["exact"], state["inexact_reasons"]) == (False, [reason])
    assert state["environment"]["plugins"]["acme"]["version"] == "2.0"
    log = (folder.parents[1] / "logs" / "train" / "m_eval.jsonl").read_text()
    assert f"Not the run of before: {reason}" in log


@pytest.mark.parametrize("kind", CODE)
def test_a_resume_with_the_same_version_is_exact_and_unwarned(kind, run, cli):
    folder = run(kind, "1.0")
    code, _, err = cli(*TRAIN)
    assert (code, err) == (0, "")
    assert state_of(folder)["exact"]
    assert cli("generate", "--model_name", "m", "--prompt", "l", "--max_new_tokens", 1)[2] == ""


def test_fit_knows_as_the_command_does(run):
    folder = run("part", "2.0")
    model = mypt.load(folder)
    text = (folder.parents[1] / "input.txt").read_text()
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text)
    state = model.fit(loader, start_step=2, checkpoint_dir=folder, quiet=True)
    assert "step 2: the plugin acme changed from 1.0 to 2.0" in state.inexact_reasons


def test_whoever_opens_it_is_told_once_in_a_line(run, cli, caplog):
    folder = run("part", "2.0")
    told = (
        "checkpoints/m: was saved with the plugin acme 1.0, but 2.0 is installed; "
        "install acme 1.0, unless you know that both compute the same"
    )
    for words in (
        ("generate", "--model_name", "m", "--prompt", "l", "--max_new_tokens", 1),
        ("inspect", "--model_name", "m"),
    ):
        code, _, err = cli(*words)
        assert (code, err) == (0, f"warning: {told}\n")
    with caplog.at_level(logging.WARNING, logger="mypt"):
        mypt.load("m", plugins=load_plugins())
    assert [record.getMessage() for record in caplog.records] == [told]
    code, out, err = cli(*TRAIN[:2], "n", *TRAIN[3:], "--init_from_model", "m", *NEW[:2], *NEW[-2:])
    assert code == 0, err
    assert told in out + err
    assert folder.is_dir()


def test_a_guard_of_another_version_concerns_no_text(run, cli):
    run("guard", "2.0")
    assert cli("generate", "--model_name", "m", "--prompt", "l", "--max_new_tokens", 1)[2] == ""


def test_the_part_of_another_package_does_not_pass_for_it(run, cli, refused):
    run("part", "1.0", package="acme-fork")
    what = 'config.json#/requires/0: is "plugin/acme", a plugin which is not installed'
    for words in (TRAIN, ("generate", "m"), ("compare", "m", "m")):
        line = refused(*words)
        assert f"{what}: its weights cannot be read; install it: pip install acme\n" in line
    code, out, err = cli("inspect", "--model_name", "m")
    assert (code, err) == (0, "")
    assert "acme 1.0, needed to: read, generate, train (is not installed; install" in out


def test_a_model_is_a_preset_without_what_follows_from_its_parts(run, cli):
    folder = run("part", "1.0")
    words = (*TRAIN[:2], "n", *TRAIN[3:], "--config_file", folder, "--input_file", "input.txt")
    code, _, err = cli(*words, "--max_iters", 1)
    assert code == 0, err
    saved = json.loads((folder.with_name("n") / "config.json").read_text())
    assert saved["requires"] == ["plugin/acme"]


def test_what_a_config_no_longer_takes_it_no_longer_requires(run, in_tmp):
    model = mypt.load(run("part", "1.0"))
    assert model.config.requires == ("plugin/acme",)
    plain = mypt.GPT(evolve(model.config, norm_type="layernorm"), model.tokenizer)
    plain.save(in_tmp / "plain")
    assert json.loads((in_tmp / "plain" / "config.json").read_text())["requires"] == []


def test_the_guard_of_another_package_does_not_pass_for_it(run, cli, refused):
    folder = run("guard", "1.0", package="acme-fork")
    assert "m: requires the plugin acme 1.0, which is not installed" in refused(*TRAIN)
    code, _, err = cli("generate", "m", "--max_new_tokens", 1)
    assert (code, err) == (0, "")
    code, _, err = cli(*TRAIN, "--gold_guards", '{"lenient": false}')
    assert code == 0, err
    assert state_of(folder)["requires"] == []
    assert json.loads((folder / "manifest.json").read_text())["plugins"] == {}
