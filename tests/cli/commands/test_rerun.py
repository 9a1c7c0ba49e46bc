"""A run that is done again, through the command line, on real files."""

import getpass
import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from mypt.format.storage.generations import read_manifest

SHAPE = (
    *("--block_size", "8", "--n_embd", "16", "--n_head", "2", "--n_layer", "1", "--device", "cpu"),
    *("--batch_size", "2", "--tokenization", "char", "--learning_rate", "0.01"),
)
BRIEF = ("--max_iters", "6", "--eval_interval", "3", "--eval_iters", "1")
MARK = "Not the run of before: "
SAME = "Nothing that decides the weights differs from the run of before"
EQUAL = "  Its weights are those of checkpoints/cat, byte for byte"
OTHER = "  Its weights are not those of checkpoints/cat"


@pytest.fixture
def train(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)

    def call(*flags, name="cat"):
        code, out, err = cli("train", "--model_name", name, *flags)
        assert code == 0, err
        return out

    return call


@pytest.fixture
def cat(train):
    train("--input_file", "input.txt", *SHAPE, *BRIEF)


@pytest.fixture
def rerun(cli):
    def call(*words, code=0):
        found, out, err = cli("rerun", *words)
        assert found == code, err
        return out.splitlines()

    return call


def state_file(name):
    return Path("checkpoints") / name / "training_state.json"


def state_of(name):
    return json.loads(state_file(name).read_text())


def edit_state(change, name="cat"):
    state = state_of(name)
    change(state)
    state_file(name).write_text(json.dumps(state))


def weights_of(folder, in_tmp):
    return read_manifest(in_tmp / "checkpoints" / folder).files["model.pt"].sha256


def differences(lines):
    return [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]


def test_a_run_that_is_done_again_has_the_same_weights_byte_for_byte(cat, rerun, in_tmp):
    lines = rerun("cat")
    assert SAME in lines
    assert lines[-1] == EQUAL
    for copy in ("", "_gold", "_fp16"):
        assert weights_of(f"cat_rerun{copy}", in_tmp) == weights_of(f"cat{copy}", in_tmp)
    state, first = state_of("cat_rerun"), state_of("cat")
    assert state["provenance"]["command"] == ["mypt", "rerun", "cat"]
    assert state["provenance"]["config_sha256"] == first["provenance"]["config_sha256"]
    assert state["run_id"] != first["run_id"]
    assert state["training_config"] == first["training_config"]
    assert rerun("cat_rerun", "--model_name", "third")[-1].startswith("  Its weights are those of")


def test_fine_tuning_is_done_again_from_the_same_model(cat, train, rerun, in_tmp):
    fine = ("--input_file", "input.txt", "--init_from_model", "cat", *BRIEF, "--seed", "5")
    train(*fine, name="fine")
    assert SAME in rerun("fine")
    assert weights_of("fine_rerun", in_tmp) == weights_of("fine", in_tmp)
    train("--max_iters", "8")
    found = differences(rerun("fine", "--model_name", "again"))
    assert found == ["the model that it begins with has other weights now"]
    shutil.rmtree(in_tmp / "checkpoints" / "cat")
    rerun("fine", "--model_name", "gone", code=2)
    assert not (in_tmp / "checkpoints" / "gone").exists()


def test_a_resumed_run_is_done_again_with_its_last_settings(cat, train, rerun):
    train("--max_iters", "9")
    state = state_of("cat")
    assert [run["start_step"] for run in state["earlier_runs"]] == [0]
    assert state["provenance"]["start_step"] == 6
    assert state["earlier_runs"][0]["command"][-6:] == list(BRIEF)
    assert {"mypt", "torch", "python"} <= state["earlier_runs"][0]["versions"].keys()
    lines = rerun("cat")
    assert SAME not in lines
    assert lines[-1] == OTHER
    assert state_of("cat_rerun")["step"] == 9
    assert differences(lines) == [
        "its settings changed when it was resumed; now those of its last run hold throughout",
        "it was not exact since step 6: max_iters changed from 6 to 9",
    ]


def test_a_run_that_was_only_interrupted_is_one_run(train, rerun, stop_at, cli, in_tmp):
    command = ("train", "--model_name", "cat", "--input_file", "input.txt", *SHAPE, *BRIEF)
    stop_at(4)
    assert cli(*command)[0] == 1
    stop_at(None)
    assert cli(*command)[0] == 0
    state = state_of("cat")
    assert state["earlier_runs"] == []
    assert state["provenance"]["start_step"] == 0
    assert rerun("cat")[-1] == EQUAL


def test_what_differs_is_said(cat, rerun, in_tmp, text):
    def change(state):
        state["environment"] |= {"torch": "1.0", "threads": 9, "device_name": "an abacus"}
        state["environment"]["plugins"] = {"acme": {"version": "2", "needed_for": ["generate"]}}
        state["provenance"]["versions"] = {"python": "3.0"}
        state["provenance"]["git"] = {"commit": "a" * 40, "dirty": True}
        state["training_config"]["learning_rate"] = 0.02

    edit_state(change)
    (in_tmp / "input.txt").write_text(text + text)
    found = "\n".join(differences(rerun("cat")))
    assert "torch was 1.0, and is " in found
    assert "threads was 9, and is 1" in found
    assert "device_name was an abacus, and is " in found
    assert "the plugin acme was 2, and is None" in found
    assert "python was 3.0, and is 3." in found
    assert "git was aaaaaaaaaaaa with changes, and is no repository" in found
    assert "config_sha256 was " in found
    assert "the data changed (input.txt has other content: " in found


def test_the_commit_and_changes_to_it_are_recorded(train, in_tmp, rerun):
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "input.txt"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    train("--input_file", "input.txt", *SHAPE, *BRIEF)
    asked = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.strip()
    assert state_of("cat")["provenance"]["git"] == {"commit": commit, "dirty": False}
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "second"], check=True)
    (found,) = differences(lines := rerun("cat"))
    assert found.startswith(f"git was {commit[:12]}, and is ")
    assert lines[-1] == EQUAL


def test_no_document_and_no_log_holds_an_absolute_path_but_the_settings(
    cat, train, in_tmp, text, tmp_path_factory
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.txt").write_text(text)
    base = f"{in_tmp}/checkpoints/cat"
    where = ("--input_file", str(in_tmp / "input.txt"), f"--init_from_model={base}")
    sets = json.dumps({"far": str(elsewhere / "far.txt")})
    train(*where, "--eval_sets", sets, *BRIEF, name="fine")
    shutil.copy(in_tmp / "input.txt", elsewhere / "input.txt")
    train("--input_file", str(elsewhere / "input.txt"), "--max_iters", "9", name="fine")
    state = state_of("fine")
    assert state["training_config"].pop("input_file") == str(elsewhere / "input.txt")
    assert state["training_config"].pop("init_from_model") == base
    assert state["training_config"].pop("eval_sets") == {"far": str(elsewhere / "far.txt")}
    assert state["lineage"][0]["model"] == "checkpoints/cat"
    assert state["data"]["source"] == "input.txt"
    assert state["earlier_runs"][0]["command"][5:9] == [
        "input.txt",
        "--init_from_model=checkpoints/cat",
        "--eval_sets",
        '{"far": "far.txt"}',
    ]
    recorded = json.dumps(state)
    recorded += "".join(path.read_text() for path in (in_tmp / "logs" / "train").iterdir())
    for word in (str(in_tmp), str(elsewhere), socket.gethostname(), f"/{getpass.getuser()}"):
        assert word not in recorded
