"""The main job, through the command line, on real files."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

import mypt
from mypt.cli.commands.train import saying_what_is_saved
from mypt.engine.config.precedence import TrainRequest
from mypt.format.bundle.read import read_bundle
from tests.support.processes.command import Command
from tests.support.sharded_folders import shard_bundle

SMALL = (
    *("--block_size", "16", "--n_embd", "32", "--n_head", "2", "--n_layer", "2"),
    *("--batch_size", "4", "--dropout", "0.1", "--tokenization", "char"),
)
BRIEF = ("--eval_iters", "2", "--eval_interval", "10", "--device", "cpu")


@pytest.fixture
def input_file(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return "input.txt"


@pytest.fixture
def train(cli, input_file):
    def call(*flags, name="cat"):
        return cli("train", "--model_name", name, *flags)

    return call


@pytest.fixture
def refused_train(refused, in_tmp):
    def call(*flags, name="cat", code=1):
        line = refused("train", "--model_name", name, *flags, code=code)
        assert not (in_tmp / "checkpoints").exists()
        assert not (in_tmp / "logs").exists()
        return line

    return call


def documents(folder):
    return {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in ("config", "tokenizer", "training_state", "manifest")
    }


def test_flags_as_of_other_programs_train_the_same_model(train, input_file, in_tmp):
    ours = ("--no_compile", "--bias", "--no_use_amp")
    theirs = ("--compile=False", "--bias=True", "--use-amp", "false", "--device", "auto")
    short = ("--max_iters", "2", "--eval_iters", "1", "--eval_interval", "2")
    for name, flags in (("a", ours), ("b", theirs)):
        code, _, err = train("--input_file", input_file, *SMALL, *short, *flags, name=name)
        assert code == 0, err
    one, other = (documents(in_tmp / "checkpoints" / name) for name in "ab")
    assert one["config"] == other["config"]
    assert one["config"]["bias"] is True
    assert one["config"]["device"] != "auto"
    assert other["training_state"]["training_config"]["use_amp"] is False


def test_a_new_model_is_trained_saved_and_valid(train, cli, input_file, in_tmp):
    code, out, err = train("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "20")
    assert code == 0, err
    assert "Training finished!" in out
    assert "Resume training from: checkpoints/cat" in out
    folder = in_tmp / "checkpoints" / "cat"
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "manifest.json",
        "model.pt",
        "optimizer.pt",
        "tokenizer.json",
        "training_state.json",
    ]
    for name in ("cat", "cat_gold", "cat_fp16"):
        assert cli("format", "validate", f"checkpoints/{name}") == (
            0,
            f"checkpoints/{name}: valid\n",
            "",
        )
    assert documents(folder)["training_state"]["step"] == 20
    assert documents(folder)["config"]["vocab_size"] == len(documents(folder)["tokenizer"]["chars"])


def test_the_log_has_the_documented_events(train, input_file, in_tmp):
    train("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "20")
    lines = (in_tmp / "logs" / "train" / "cat_eval.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    kinds = [event["event"] for event in events if event["event"] != "notice"]
    assert kinds[0] == "training_start"
    assert kinds[-1] == "training_complete"
    assert [event["iter"] for event in events if event["event"] == "eval"] == [0, 10, 20]
    assert all(event["timestamp"] for event in events)


def test_the_same_command_again_has_nothing_to_do_and_more_steps_resume(train, input_file, in_tmp):
    flags = ("--input_file", input_file, *SMALL, *BRIEF)
    train(*flags, "--max_iters", "20")
    code, out, _ = train(*flags, "--max_iters", "20")
    assert code == 0
    assert "nothing to do" in out
    code, out, _ = train("--max_iters", "30", "--learning_rate", "1e-4")
    assert code == 0
    assert "Resuming checkpoints/cat from step 20" in out
    state = documents(in_tmp / "checkpoints" / "cat")["training_state"]
    assert state["step"] == 30
    assert state["training_config"]["start_step"] == 20
    assert state["training_config"]["learning_rate"] == 1e-4
    assert state["training_config"]["eval_interval"] == 10  # not given: taken from the state
    assert state["training_config"]["input_file"] == input_file
    assert not state["exact"]
    assert any("learning_rate changed" in reason for reason in state["inexact_reasons"])


def test_what_is_given_to_a_finished_run_has_no_effect_and_is_said(train, input_file, in_tmp):
    flags = ("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "2")
    train(*flags)
    code, out, _ = train(*flags)
    assert (code, out.count("\n")) == (0, 1)
    assert "is at step 2 of 2: nothing to do" in out
    given = ("--learning_rate", "1e-4", "--batch_size", "8", "--n_layer", "3", "--max_iters", "1")
    code, out, _ = train(*given)
    assert code == 0
    assert out.splitlines()[:-1] == [
        "--n_layer 3 is ignored: the saved model has 2; "
        "for a new model, choose another --model_name",
        "--batch_size 8 had no effect: the run had 4",
        "--learning_rate 0.0001 had no effect: the run had 0.0003",
    ]
    assert "cat is at step 2 already, beyond max_iters 1: nothing to do" in out
    assert documents(in_tmp / "checkpoints" / "cat")["config"]["batch_size"] == 4


def test_a_stopped_run_beyond_max_iters_has_nothing_to_do(train, input_file, in_tmp):
    train("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "3")
    file = in_tmp / "checkpoints" / "cat" / "training_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**state, "evaluated_step": 2}), encoding="utf-8")  # as if stopped
    code, out, _ = train("--max_iters", "1")
    assert code == 0
    assert "cat is at step 3 already, beyond max_iters 1: nothing to do" in out
    saved = documents(in_tmp / "checkpoints" / "cat")["training_state"]
    assert saved["training_config"]["max_iters"] == 3


def test_a_resume_keeps_the_saved_architecture_and_says_so(train, input_file, in_tmp):
    train("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "10")
    _, out, _ = train("--n_layer", "8", "--max_iters", "12", "--tokenization", "gpt2")
    assert "--n_layer 8 is ignored: the saved model has 2" in out
    assert "--tokenization gpt2 is ignored: the saved model has char" in out
    assert documents(in_tmp / "checkpoints" / "cat")["config"]["n_layer"] == 2


def test_a_preset_wins_over_architecture_flags_and_training_flags_win(train, input_file, in_tmp):
    preset = {
        "name": "Mini",
        "block_size": 16,
        "n_embd": 32,
        "n_head": 2,
        "n_layer": 1,
        "batch_size": 4,
        "max_iters": 500,
        "eval_interval": 10,
        "tokenization": "char",
    }
    (in_tmp / "mini.json").write_text(json.dumps(preset))
    code, out, err = train(
        *("--config_file", "mini.json", "--input_file", input_file),
        *("--n_layer", "8", "--max_iters", "10", "--eval_iters", "1"),
    )
    assert code == 0, err
    assert "--n_layer 8 is ignored: mini.json says 1" in out
    saved = documents(in_tmp / "checkpoints" / "cat")
    assert saved["config"]["n_layer"] == 1
    assert saved["training_state"]["training_config"]["max_iters"] == 10
    assert saved["training_state"]["training_config"]["config_file"] == "mini.json"


def test_a_gpt2_model_is_trained_without_the_network(train, input_file, in_tmp):
    code, _, err = train(
        *("--input_file", input_file, "--block_size", "16", "--n_embd", "16", "--n_head", "2"),
        *("--n_layer", "1", "--batch_size", "2", "--max_iters", "2", *BRIEF),
        *("--pos_encoding", "rope", "--mlp_type", "swiglu", "--norm_type", "rmsnorm"),
        "--tie_weights",
    )
    assert code == 0, err
    config = documents(in_tmp / "checkpoints" / "cat")["config"]
    assert config["vocab_size"] == 50304
    assert config["tie_weights"] is True


def test_the_standard_library_is_read_where_it_is_asked_for(train, cli):
    code, out, err = train(*SMALL, "--input_file", "stdlib", "--max_iters", "1", *BRIEF)
    assert code == 0, err
    assert "standard library" in out
    code, out, err = train("--max_iters", "2")
    assert code == 0, err
    assert "standard library" in out
    assert "data" not in "".join(line for line in out.splitlines() if "of before" in line)


@pytest.mark.parametrize("preset", [[], ["--config_file", "tiny"]])
def test_no_model_and_no_data_is_no_wish_for_the_standard_library(refused, cli, input_file, preset):
    train = ["train", *SMALL, *BRIEF, "--input_file", input_file, "--max_iters", "1"]
    assert cli(*train, "--model_name", "dante")[0] == 0
    line = refused("train", "--model_name", "dant", *preset, code=2)
    assert "there is no model `dant` in checkpoints/ (did you mean `dante`?)" in line
    assert "--input_file" in line


@pytest.mark.parametrize("data", [[], ["--input_file", "input.txt"]])
def test_a_file_is_not_taken_for_the_name_of_a_new_model(refused_train, in_tmp, text, data):
    (in_tmp / "input.txt").write_text(text)
    (in_tmp / "old.npz").write_bytes(b"PK")
    line = refused_train(*data, name="old.npz", code=2)
    assert "`old.npz` is a file" in line
    assert "--init_from_model old.npz" in line


def test_the_size_of_a_vocabulary_is_kept_or_refused(train, refused_train, input_file, in_tmp):
    new = ["--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "1"]
    line = refused_train(*new, "--vocab_size", "5")
    assert "vocab_size: is 5, but the char vocabulary has" in line
    code, _, err = train(*new, "--vocab_size", "200")
    assert code == 0, err
    assert documents(in_tmp / "checkpoints" / "cat")["config"]["vocab_size"] == 200


def test_a_preset_sizes_the_vocabulary_of_its_own_tokenizer_only(train, input_file, in_tmp):
    preset = {"tokenization": "char", "vocab_size": 128, "n_layer": 1, "n_head": 1, "n_embd": 8}
    (in_tmp / "mine.json").write_text(json.dumps({**preset, "block_size": 8}))
    new = ["--input_file", input_file, *BRIEF, "--max_iters", "1", "--config_file"]
    code, out, err = train(*new, "mine.json")
    assert code == 0, err
    assert documents(in_tmp / "checkpoints" / "cat")["config"]["vocab_size"] == 128
    del preset["tokenization"]  # it is for gpt2
    (in_tmp / "other.json").write_text(json.dumps({**preset, "vocab_size": 50304}))
    code, out, err = train(*new, "other.json", "--tokenization", "char", name="dog")
    assert code == 0, err
    assert "vocab_size 50304 of other.json is not used: it is for gpt2, and" in out
    made = documents(in_tmp / "checkpoints" / "dog")
    assert made["config"]["vocab_size"] == len(made["tokenizer"]["chars"])


def test_a_tokenizer_that_can_be_trained_to_a_size_is(train, input_file, in_tmp):
    new = ["--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "1"]
    code, _, err = train(*new, "--tokenization", "bpe", "--vocab_size", "300")
    assert code == 0, err
    config = documents(in_tmp / "checkpoints" / "cat")["config"]
    model = mypt.load(in_tmp / "checkpoints" / "cat")
    assert (config["vocab_size"], model.tokenizer.n_vocab) == (300, 300)


def test_fine_tuning_keeps_the_vocabulary_and_says_so(train, cli, input_file):
    train("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "1")
    code, out, err = train(
        *("--input_file", input_file, *BRIEF, "--max_iters", "1", "--vocab_size", "300"),
        *("--init_from_model", "cat"),
        name="dog",
    )
    assert code == 0, err
    assert "vocab_size 300 is ignored: cat has" in out


def test_a_missing_input_file_is_refused(refused_train):
    assert "nowhere.txt" in refused_train("--input_file", "nowhere.txt")


def test_an_empty_input_file_is_refused(refused_train, in_tmp):
    (in_tmp / "empty.txt").write_text("")
    assert "empty" in refused_train("--input_file", "empty.txt", "--tokenization", "char")


def test_a_text_shorter_than_the_context_is_refused(refused_train, in_tmp):
    (in_tmp / "short.txt").write_text("too short")
    line = refused_train("--input_file", "short.txt", *SMALL)
    assert "block_size" in line


def test_heads_that_do_not_divide_the_width_are_refused(refused_train, input_file):
    line = refused_train("--input_file", input_file, "--n_embd", "100", "--n_head", "6")
    assert "n_embd" in line
    assert "6" in line


def test_a_value_out_of_range_is_refused(refused_train, input_file):
    assert "dropout" in refused_train("--input_file", input_file, "--dropout", "1.5")
    assert "max_iters" in refused_train("--input_file", input_file, "--max_iters", "0")


def test_a_seed_that_is_too_large_is_told_the_largest(refused_train, input_file):
    line = refused_train("--input_file", input_file, "--seed", "99999999999999999999")
    assert line.startswith("error: --seed: is 99999999999999999999, ")
    assert line.endswith("write a whole number from 0 to 9223372036854775807\n")


def test_a_file_that_is_given_for_a_data_set_is_said_to_be_one(refused_train, refused, input_file):
    line = refused_train("--dataset_dir", input_file)
    assert line.startswith("error: input.txt: is a file, not the folder of a data set; ")
    assert "--input_file" in line
    assert refused("data", "inspect", input_file) == line


def test_a_number_that_is_not_finite_is_refused(refused_train, input_file):
    for flag in ("learning_rate", "warmup_iters", "dropout", "attn_scale"):
        line = refused_train("--input_file", input_file, f"--{flag}", "nan")
        assert line == f"error: --{flag}: is nan; write a finite number\n"
    line = refused_train("--input_file", input_file, "--rope_theta", "inf")
    assert line == "error: --rope_theta: is inf; write a finite number\n"


def test_a_model_that_no_memory_holds_is_refused(refused_train, input_file):
    line = refused_train(
        *("--input_file", input_file, "--n_embd", "100000000", "--n_head", "2", "--device", "cpu"),
        *("--tokenization", "char"),
    )
    assert line.startswith("error: memory: ran out while building the model, which asked for ")
    assert "lower n_embd" in line


def test_a_name_with_path_separators_is_refused(refused_train, input_file):
    assert "--model_name" in refused_train("--input_file", input_file, name="a/b", code=2)


def test_an_unknown_tokenizer_is_refused_with_a_suggestion(refused_train, input_file):
    line = refused_train("--input_file", input_file, "--tokenization", "chars")
    assert "did you mean `char`" in line


def test_a_device_that_is_not_there_is_refused(refused_train, input_file):
    assert "--device" in refused_train("--input_file", input_file, "--device", "cuda:99")


def test_a_full_disk_is_one_line_and_leaves_nothing(
    refused, train, input_file, in_tmp, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    line = refused("train", "--model_name", "cat", "--input_file", input_file, *SMALL, *BRIEF)
    assert "No space left on device" in line
    assert not list((in_tmp / "checkpoints").rglob("*.pt*"))
    assert not list((in_tmp / "checkpoints").rglob("*.json*"))


def test_a_full_disk_later_keeps_the_bundle_before(refused, train, cli, in_tmp, monkeypatch):
    flags = ("--input_file", "input.txt", *SMALL, *BRIEF)
    assert train(*flags, "--max_iters", "10")[0] == 0
    before = (in_tmp / "checkpoints" / "cat" / "manifest.json").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused("train", "--model_name", "cat", "--max_iters", "20")
    assert (in_tmp / "checkpoints" / "cat" / "manifest.json").read_bytes() == before
    assert cli("format", "validate", "--checksums", "checkpoints/cat")[0] == 0


def test_a_model_that_another_process_trains_is_refused(train, refused, in_tmp):
    from mypt.format.storage.commit import open_for_writing

    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    with open_for_writing(in_tmp / "checkpoints" / "cat"):
        line = refused("train", "--model_name", "cat", "--max_iters", "4")
    assert str(os.getpid()) in line


def test_a_model_of_its_own_is_not_overwritten_by_gold(train, refused, in_tmp):
    flags = ("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")
    assert train(*flags, name="cat_gold")[0] == 0
    before = (in_tmp / "checkpoints" / "cat_gold" / "manifest.json").read_bytes()
    line = refused("train", "--model_name", "cat", *flags, code=2)
    assert "checkpoints/cat_gold: is a model of its own" in line
    assert (in_tmp / "checkpoints" / "cat_gold" / "manifest.json").read_bytes() == before
    assert not (in_tmp / "checkpoints" / "cat").exists()


def test_a_gold_copy_that_is_trained_on_becomes_a_model_of_its_own(train, refused, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    assert train("--max_iters", "4", name="cat_gold")[0] == 0
    refused("train", "--model_name", "cat", "--max_iters", "4", code=2)


@pytest.mark.parametrize(
    ("kind", "named"), [("gold", "gold copy"), ("fp16", "half-precision copy")]
)
def test_training_a_copy_says_what_that_means(kind, named, train, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    code, out, _ = train("--max_iters", "4", name=f"cat_{kind}")
    (line,) = [line for line in out.splitlines() if f"is the {named} of cat" in line]
    assert code == 0
    assert "cat cannot be trained from then on" in line
    assert f"mypt train --model_name NEW --init_from_model cat_{kind}" in line
    assert ("its weights are rounded" in line) == (kind == "fp16")
    assert "copy of cat" not in train("--max_iters", "6", name=f"cat_{kind}")[1]


def test_a_new_model_by_the_name_of_a_copy_is_told_so(train, in_tmp):
    flags = ("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")
    code, out, _ = train(*flags, name="cat_gold")
    assert code == 0
    assert "checkpoints/cat_gold is where a model named cat keeps its gold copy" in out
    assert "keeps its" not in train(*flags, name="cat_golden")[1]


def test_hand_edited_batch_size_and_dropout_work_and_are_reported(train, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    path = in_tmp / "checkpoints" / "cat" / "config.json"
    config = json.loads(path.read_text()) | {"batch_size": 2, "dropout": 0.0}
    path.write_text(json.dumps(config))
    code, out, _ = train("--max_iters", "4")
    assert code == 0
    assert "config.json#/batch_size: was edited after the save: 2, was 4; no action needed" in out
    assert "config.json#/dropout: was edited after the save: 0.0, was" in out


def test_a_missing_optimizer_state_is_told_with_what_to_do_and_what_follows(train, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    (in_tmp / "checkpoints" / "cat" / "optimizer.pt").unlink()
    code, out, _ = train("--max_iters", "4")
    assert code == 0
    hint, follows = (line for line in out.splitlines() if "optimizer" in line)
    assert hint.startswith("checkpoints/cat/optimizer.pt: is missing; to go on exactly, add --fall")
    assert follows == (
        "Not the run of before: step 2: there was no optimizer state, so a fresh one begins"
    )


def test_batch_size_and_dropout_may_be_given_anew(train, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    flags = ("--batch_size", "2", "--dropout", "0", "--max_iters", "4")
    code, out, err = train(*flags)
    assert code == 0, err
    assert "ignored" not in out
    assert "Not the run of before: step 2: batch_size changed from 4 to 2" in out
    assert "Not the run of before: step 2: dropout changed from 0.1 to 0" in out
    assert "32 tokens per step" in out
    saved = documents(in_tmp / "checkpoints" / "cat")
    assert (saved["config"]["batch_size"], saved["config"]["dropout"]) == (2, 0)
    assert not saved["training_state"]["exact"]
    code, out, _ = train(*flags, "--max_iters", "6")
    assert "changed" not in out.replace("max_iters changed", "")


def test_a_batch_size_out_of_range_is_refused_at_a_resume_too(train, refused, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    line = refused("train", "--model_name", "cat", "--batch_size", "0", "--max_iters", "4")
    assert "batch_size: is 0" in line


def test_a_hand_edited_layer_count_is_refused_with_the_way_out(train, refused, in_tmp):
    assert train("--input_file", "input.txt", *SMALL, *BRIEF, "--max_iters", "2")[0] == 0
    path = in_tmp / "checkpoints" / "cat" / "config.json"
    config = json.loads(path.read_text()) | {"n_layer": 8}
    path.write_text(json.dumps(config))
    line = refused("train", "--model_name", "cat", "--max_iters", "4")
    assert "config.json#/n_layer: is 8, but model.pt holds 2 blocks; set it back to 2" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_saves_and_says_how_to_resume(number, input_file, in_tmp):
    long = ("--eval_iters", "1", "--eval_interval", "100000", "--max_iters", "100000")
    command = ("train", "--model_name", "cat", "--input_file", input_file, *SMALL, *long)
    process = subprocess.Popen(
        [sys.executable, "-m", "mypt", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # these tests may run in nohup
    )
    for line in process.stdout:
        if line.startswith("step 0/"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == ""
    assert "everything is saved. To resume: mypt train --model_name cat" in out
    step = documents(in_tmp / "checkpoints" / "cat")["training_state"]["step"]
    assert f"Stopped at step {step}" in out


def press_twice_at(update):
    """Send this process two Ctrl-C in some update."""
    backward, seen = torch.Tensor.backward, []

    def pressing(self, *args, **options):
        seen.append(None)
        for _ in range(2 if len(seen) == update else 0):
            os.kill(os.getpid(), signal.SIGINT)
        backward(self, *args, **options)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # these tests may run in nohup
    torch.Tensor.backward = pressing


@pytest.mark.parametrize(("update", "said"), [(1, "at step 0. "), (6, "at step 4. ")])
def test_a_second_ctrl_c_says_what_is_saved(update, said, input_file, in_tmp):
    often = ("--eval_iters", "1", "--eval_interval", "2", "--max_iters", "8")
    command = Command(
        *("train", "--model_name", "cat", "--input_file", input_file, *SMALL, *often),
        cwd=in_tmp,
        arm=partial(press_twice_at, update),
    )
    lines = [line for line in command.wait().splitlines() if line]
    assert command.code == 1
    assert lines[-1] == "interrupted"
    folder = Path("checkpoints", "cat")
    assert (
        f"Ended on the spot; {folder} is as it was saved {said}To resume: mypt train" in lines[-2]
    )
    assert documents(in_tmp / folder)["training_state"]["step"] == int(said[8])


@pytest.mark.parametrize("keeps_model", [True, False])
def test_ended_on_the_spot_a_run_that_saves_in_parts_says_where_it_is(
    keeps_model, bundle, in_tmp, capsys, monkeypatch
):
    folder = in_tmp / "checkpoints" / "cat"
    shutil.copytree(bundle, folder)
    shards = shard_bundle(folder)
    if not keeps_model:
        shutil.rmtree(folder)
    request = TrainRequest(model_name="cat", no_lock=True)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    for rank in "10":
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(KeyboardInterrupt), saying_what_is_saved(request):
            raise KeyboardInterrupt
    newest = folder if keeps_model else shards  # of the same step, the bundle
    place, (line,) = newest.relative_to(in_tmp), capsys.readouterr().out.splitlines()
    assert f"; {place} is as it was saved at step " in line
    assert line.endswith("torchrun --nproc-per-node=2 -m mypt train --model_name cat --no_lock")


@pytest.mark.parametrize("name", ["none", "cat"])
def test_ended_on_the_spot_with_no_save_that_can_be_read_nothing_is_said_of_one(
    name, in_tmp, capsys
):
    shards = in_tmp / "checkpoints" / "cat_shards"
    shards.mkdir(parents=True)
    (shards / "shards.json").write_text("{")
    with pytest.raises(KeyboardInterrupt), saying_what_is_saved(TrainRequest(model_name=name)):
        raise KeyboardInterrupt
    assert capsys.readouterr() == ("", "")


QUICK = (*SMALL, *BRIEF, "--max_iters", "4")


def folders(in_tmp):
    return sorted(path.name for path in (in_tmp / "checkpoints").iterdir())


def test_a_curriculum_is_told_of_as_it_goes(train, in_tmp, text):
    (in_tmp / "dogs.txt").write_text(text.replace("cat", "dog"))
    phases = [
        {"name": "cats", "until_iter": 2, "input_file": "input.txt"},
        {"name": "dogs", "input_file": "dogs.txt"},
    ]
    code, out, err = train("--curriculum", json.dumps(phases), *QUICK)
    assert code == 0, err
    assert "Phase dogs begins at step 2" in out
    assert "| phase: dogs" in out


def test_a_preset_can_hold_a_curriculum_and_an_input_file_replaces_it(train, in_tmp):
    preset = {
        "block_size": 16,
        "n_embd": 32,
        "n_head": 2,
        "n_layer": 1,
        "tokenization": "char",
        "curriculum": [{"name": "missing", "input_file": "nowhere.txt"}],
    }
    (in_tmp / "mini.json").write_text(json.dumps(preset))
    flags = ("--config_file", "mini.json", *BRIEF, "--max_iters", "2", "--batch_size", "2")
    assert train(*flags)[0] == 1
    code, _, err = train(*flags, "--input_file", "input.txt")
    assert code == 0, err
    saved = documents(in_tmp / "checkpoints" / "cat")["training_state"]["training_config"]
    assert saved["curriculum"] == []


@pytest.mark.parametrize(
    ("phases", "pointer"),
    [
        ([{"name": name, "input_file": "input.txt"} for name in "ab"], "curriculum/0/until_iter"),
        ([{"input_file": "input.txt"}], "curriculum/0/name"),
    ],
)
def test_a_curriculum_that_does_not_hold_is_refused(refused_train, input_file, phases, pointer):
    assert pointer in refused_train("--curriculum", json.dumps(phases))


def test_what_is_no_json_is_refused_with_the_flag(cli, input_file):
    code, _, err = cli("train", "--model_name", "cat", "--gold_metric", "{val: 1}")
    assert code == 2
    assert "--gold_metric" in err


def test_sets_and_gold_by_flags(train, in_tmp, text):
    (in_tmp / "dogs.txt").write_text(text.replace("cat", "sat"))
    code, out, err = train(
        *("--input_file", "input.txt", "--eval_sets", '{"dots": "dogs.txt"}'),
        *("--gold_metric", '{"val": 1, "dots": 1}', "--gold_guards", '{"trend": false}', *QUICK),
    )
    assert code == 0, err
    assert " | dots " in out


def test_another_tokenizer_than_the_bases_is_refused(train, refused, in_tmp):
    assert train("--input_file", "input.txt", *QUICK)[0] == 0
    line = refused(
        *("train", "--model_name", "kitten", "--init_from_model", "cat"),
        *("--input_file", "input.txt", "--tokenization", "gpt2"),
    )
    assert "tokenization: is gpt2, but cat uses the tokenizer char" in line
    assert "kitten" not in folders(in_tmp)


def test_numbered_copies_are_found_by_name(train, cli, in_tmp):
    flags = ("--snapshot_interval", "1", "--keep_snapshots", "2")
    assert train("--input_file", "input.txt", *QUICK, *flags)[0] == 0
    copies = ["cat_step00000003", "cat_step00000004"]
    assert folders(in_tmp) == ["cat", "cat_fp16", "cat_gold", *copies]
    for name in copies:
        assert cli("format", "validate", f"checkpoints/{name}")[0] == 0
        assert cli("generate", "--model_name", name, "--max_new_tokens", "5")[0] == 0


def test_a_disk_without_room_is_one_line_before_anything_is_trained(
    refused, input_file, in_tmp, monkeypatch
):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    line = refused("train", "--model_name", "cat", "--input_file", input_file, *QUICK)
    assert "has 1.0 KB free, but the run will need about" in line
    assert folders(in_tmp) == []
    assert not (in_tmp / "logs").exists()


MINI = {"name": "Mini", "block_size": 16, "n_embd": 32, "n_head": 2, "n_layer": 1}
MINI |= {"batch_size": 8, "dropout": 0.1, "tokenization": "char"}


def test_the_same_command_is_the_same_run_also_beside_a_preset(train, input_file, in_tmp):
    (in_tmp / "mini.json").write_text(json.dumps(MINI))
    flags = ("--config_file", "mini.json", "--input_file", input_file, *BRIEF)
    flags += ("--batch_size", "4", "--dropout", "0.2", "--n_layer", "2", "--max_iters")
    code, out, err = train(*flags, "3")
    assert code == 0, err
    assert [line for line in out.splitlines() if "ignored" in line] == [
        "--n_layer 2 is ignored: mini.json says 1"
    ]
    saved = documents(in_tmp / "checkpoints" / "cat")["config"]
    assert (saved["batch_size"], saved["dropout"], saved["n_layer"]) == (4, 0.2, 1)
    _, out, _ = train(*flags, "5")
    assert [line for line in out.splitlines() if "Not the run of before" in line] == [
        "Not the run of before: step 3: max_iters changed from 3 to 5"
    ]


def test_a_fine_tuned_model_says_too_what_its_preset_overrules(train, input_file, in_tmp):
    (in_tmp / "mini.json").write_text(json.dumps({**MINI, "n_layer": 2}))
    begin = ("--input_file", input_file, *SMALL, *BRIEF, "--max_iters", "2")
    assert train(*begin, name="base")[0] == 0
    code, out, err = train(
        *("--init_from_model", "base", "--config_file", "mini.json", "--input_file", input_file),
        *("--n_layer", "5", "--block_size", "8", "--batch_size", "2", "--max_iters", "2", *BRIEF),
    )
    assert code == 0, err
    assert "--n_layer 5 is ignored: mini.json says 2" in out
    assert "--block_size 8 is ignored: mini.json says 16" in out
    assert "32 tokens per step" in out


RUNAWAY = ("--learning_rate", "1e9", "--grad_clip", "0", "--max_iters", "12")


def test_a_run_that_diverges_ends_and_keeps_what_was_saved(train, cli, input_file, in_tmp):
    flags = ("--input_file", input_file, *SMALL, "--eval_iters", "1", "--eval_interval", "2")
    assert train(*flags, "--max_iters", "2")[0] == 0
    before = {name: digests_of(in_tmp, name) for name in folders(in_tmp)}
    code, out, err = train(*RUNAWAY)
    assert code == 1
    assert "Training finished" not in out
    assert err.count("\n") == 1
    assert "checkpoints/cat: training has diverged: " in err
    assert "step 2 stays as it was saved; go on from there with a learning_rate below 1e+09" in err
    assert {name: digests_of(in_tmp, name) for name in folders(in_tmp)} == before
    assert train("--learning_rate", "1e-4", "--max_iters", "4", "--grad_clip", "1")[0] == 0


def test_a_run_that_is_to_go_on_saves_nothing_that_is_not_finite(train, cli, input_file, in_tmp):
    flags = ("--input_file", input_file, *SMALL, "--eval_iters", "1", "--eval_interval", "2")
    assert train(*flags, "--max_iters", "2")[0] == 0
    before = {name: digests_of(in_tmp, name) for name in folders(in_tmp)}
    code, out, err = train(*RUNAWAY, "--no_terminate_on_nan", "--snapshot_interval", "3")
    assert code == 1
    assert "step 12/12" in out
    assert out.count("the run goes on, as terminate_on_nan is off") == 1
    assert "Step 12 is not saved: weights are NaN or infinite" in out
    assert "weights are NaN or infinite at step 12" in err
    after = {name: digests_of(in_tmp, name) for name in folders(in_tmp)}
    assert {name: after[name] for name in ("cat_gold", "cat_fp16")} == {
        name: before[name] for name in ("cat_gold", "cat_fp16")
    }
    for name in after:
        assert cli("format", "validate", f"checkpoints/{name}")[0] == 0
        weights = read_bundle(in_tmp / "checkpoints" / name).weights()
        assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


def digests_of(in_tmp, name):
    files = documents(in_tmp / "checkpoints" / name)["manifest"]["files"]
    return {file: record["sha256"] for file, record in files.items()}


def test_a_data_set_that_is_not_there_is_told_by_its_folder(refused_train):
    line = refused_train("--dataset_dir", "nowhere", *SMALL, *BRIEF)
    assert line.startswith("error: nowhere: there is no such folder")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--model_name", "circle"), "could not be written: checkpoints/circle is a link to"),
        (("--model_name", "cat", "--log_file", "checkpoints/circle"), "Too many levels of symb"),
    ],
    ids=["folder", "log"],
)
def test_a_link_to_itself_in_the_place_of_a_run_or_its_log_is_one_line(
    cli, in_tmp, text, flags, said
):
    (in_tmp / "input.txt").write_text(text)
    (in_tmp / "checkpoints").mkdir()
    (in_tmp / "checkpoints" / "circle").symlink_to("circle")
    code, _, err = cli("train", "--input_file", "input.txt", *SMALL, *BRIEF, *flags)
    assert (code, err.splitlines()[-1].startswith(f"error: checkpoints/circle: {said}")) == (
        1,
        True,
    )
    assert [path.name for path in (in_tmp / "checkpoints").iterdir()] == ["circle"]
