"""What a checkpoint does not say is not made up, whatever door it comes to."""

import json
import re
import shutil

import pytest
import torch

import mypt
from mypt.format.tensors.pt_file import load_tensors

SETTINGS = {"batch_size": 4, "n_layer": 2}


@pytest.fixture
def bare(bundle, in_tmp):
    """A bundle of version 1 that says of its training only how long it was."""
    folder = in_tmp / "checkpoints" / "old"
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        document = json.loads((bundle / name).read_text())
        for field in ("format_version", "attention_type", "block_type", "plugins", "dropout"):
            document.pop(field, None)
        kept = {k: v for k, v in document.items() if v is not None and k != "hugging_face"}
        (folder / name).write_text(json.dumps(kept))
    (folder / "training_state.json").write_text(json.dumps({"step": 60}))
    shutil.copy(bundle / "model.pt", folder / "model.pt")
    return folder


@pytest.fixture
def single(bundle, bare, in_tmp):
    """The same as one file of version 0."""
    contents = {
        "model_state_dict": load_tensors(bundle / "model.pt", "model.pt"),
        "config": json.loads((bare / "config.json").read_text()),
        "tokenizer": json.loads((bare / "tokenizer.json").read_text()),
        "step": 60,
    }
    path = in_tmp / "latest.pt"
    torch.save(contents, path)
    return path


@pytest.fixture(params=["bare", "single"])
def old(request):
    return request.getfixturevalue(request.param)


def is_bare(path):
    info = mypt.get_model_info(path)
    assert info["config"].items() >= SETTINGS.items()
    assert "dropout" not in info["config"]
    state = {name: value for name, value in info["training_state"].items() if value is not None}
    return state == {"step": 60} | ({"requires": []} if "requires" in state else {})


def test_inspect_and_its_object_leave_it_out(old, cli):
    assert is_bare(old)
    _, out, _ = cli("inspect", "--model_name", old)
    assert "Training hyperparameters: not recorded" in out
    assert not {"1000", "1337", "0.0003", "dropout"} & set(out.split())
    _, out, _ = cli("inspect", "--model_name", old, "--all")
    assert re.search("^  seed +: not recorded$", out, re.MULTILINE)
    assert re.search("^  dropout +: not recorded$", out, re.MULTILINE)


def test_a_migration_and_a_save_do_not_write_it_down(old, cli, in_tmp):
    code, out, err = cli("format", "migrate", old, "--output", "new")
    assert code == 0, err
    assert "config.json, not recorded: device, dropout" in out
    assert is_bare("new")
    mypt.load(old).save_checkpoint_bundle("saved", 60)
    assert json.loads((in_tmp / "saved" / "training_state.json").read_text()).keys() <= {
        "format_version",
        "step",
        "optimizer_file",
        "run_id",
        "requires",
    }


def test_compare_has_no_row_for_what_one_does_not_say(old, bundle, cli):
    code, out, err = cli("compare", "--json", old, bundle)
    assert code == 0, err
    report = json.loads(out)
    assert "config.dropout" not in report["models"][0]["settings"]
    told = {name for name in report["differing"] if name.startswith(("training", "config"))}
    assert told == set()
    assert report["models"][1]["settings"]["training_config.max_iters"] == 60


def test_a_resume_names_the_defaults_that_it_takes(bare, cli, text, in_tmp):
    (in_tmp / "input.txt").write_text(text)
    more = ["--input_file", "input.txt", "--max_iters", "61", "--device", "cpu"]
    code, out, err = cli("train", "--model_name", "old", *more, "--learning_rate", "0.001")
    assert code == 0, err
    told = [line for line in out.splitlines() if "does not record these settings" in line]
    assert len(told) == 1
    assert "dropout 0.2, " in told[0]
    assert "seed 1337" in told[0]
    assert not {"learning_rate", "max_iters"} & set(told[0].split())
    assert "learning_rate changed" not in out
    assert "more settings were not recorded" in out
    state = mypt.get_model_info("old")["training_state"]["training_config"]
    assert (state["seed"], state["learning_rate"]) == (1337, 0.001)  # of this run it is known
    assert mypt.get_model_info("old")["config"]["dropout"] == 0.2


def test_a_flag_of_a_finished_run_is_not_compared_with_a_default(bare, cli, text, in_tmp):
    (in_tmp / "input.txt").write_text(text)
    more = ["--input_file", "input.txt", "--max_iters", "60", "--seed", "5"]
    code, out, err = cli("train", "--model_name", "old", *more)
    assert code == 0, err
    assert "--seed 5 had no effect: what the run had is not recorded" in out
    assert "1337 " not in out.replace("seed 1337", "")


def test_a_loop_of_one_s_own_records_what_it_is_told_alone(in_tmp, bundle):
    model = mypt.load(bundle)
    fresh = mypt.GPT(model.config, model.tokenizer)
    fresh.save_checkpoint_bundle("loop", 7, training_config={"learning_rate": 0.01})
    state = mypt.get_model_info("loop")["training_state"]
    assert state["training_config"] == {"learning_rate": 0.01}
    assert "tokens_processed" not in state


def test_a_model_of_another_program_has_no_batch_size(fixtures):
    info = mypt.get_model_info(fixtures / "foreign" / "hf_gpt2")
    assert "batch_size" not in info["config"]
    assert info["config"]["mlp_type"] == "gelu_tanh"
