"""Several real processes that train one model, as torchrun starts them; gloo, on the CPU."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mypt.format.bundle.read import read_bundle
from tests.support import loss_plugin, optimizer_plugin
from tests.support.installed import install, others
from tests.support.processes.command import Command
from tests.support.processes.ranks import ranks

FLAGS = (
    *("--input_file", "input.txt", "--tokenization", "char", "--device", "cpu"),
    *("--block_size", "16", "--n_embd", "32", "--n_head", "2", "--n_layer", "2"),
    *("--batch_size", "6", "--dropout", "0", "--grad_accum_steps", "2"),
    *("--eval_interval", "10", "--eval_iters", "3", "--learning_rate", "3e-3"),
)


def start(name, *flags, size):
    """Start the processes of a run as torchrun does, without the seconds that it takes itself."""
    words = ("train", "--model_name", name, *FLAGS, *flags)
    return [Command(*words, env=variables if size > 1 else {}) for variables in ranks(size)]


def run(name, *flags, size):
    """Run to the end; give what each process said."""
    processes = start(name, *flags, size=size)
    said = [process.wait() for process in processes]
    assert [process.code for process in processes] == [0] * size, said
    return said


def losses(name):
    log = Path(f"logs/train/{name}_eval.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    return [(e["iter"], e["train_loss"], e["val_loss"]) for e in events if e["event"] == "eval"]


@pytest.fixture
def folder(in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


@pytest.mark.parametrize("how", [(), ("--shard",)], ids=["ddp", "fsdp"])
def test_two_processes_give_the_losses_of_one_and_any_number_goes_on(folder, how):
    run("one", "--max_iters", "50", size=1)
    first, second = run("two", "--max_iters", "50", *how, size=2)
    for alone, together in zip(losses("one"), losses("two"), strict=True):
        assert together == pytest.approx(alone, abs=2e-5)
    assert "Training finished!" in first
    assert "val " not in second
    run("one", "--max_iters", "60", size=2)
    run("two", "--max_iters", "60", size=4 if how else 1)
    assert losses("one")[-1] == pytest.approx(losses("two")[-1], abs=5e-5)
    for name, sizes in (("one", "from 1 to 2"), ("two", f"from 2 to {4 if how else 1}")):
        state = read_bundle(folder / "checkpoints" / name).training_state
        assert not state.exact
        assert f"step 50: world_size changed {sizes}" in state.inexact_reasons
        assert {path.name for path in (folder / "checkpoints" / name).iterdir()} == {
            *("config.json", "manifest.json", "model.pt", "optimizer.pt"),
            *("tokenizer.json", "training_state.json"),
        }


@pytest.mark.slow
def test_torchrun_starts_them(folder):
    launch = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "mypt")
    words = (*launch, "train", "--model_name", "two", *FLAGS, "--max_iters", "10")
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Training finished!" in done.stdout
    state = read_bundle(folder / "checkpoints" / "two").training_state
    assert (state.step, state.environment.world_size) == (10, 2)


@pytest.mark.parametrize("optimizer", ["muon", "adafactor", "sgd"])
def test_each_optimizer_trains_in_parts_as_in_one_process_and_resumes_exactly(folder, optimizer):
    flags = ("--optimizer", optimizer, "--max_iters", "20", "--n_embd", "30", "--n_kv_head", "1")
    run("one", *flags, size=1)
    run("copies", *flags, size=2)
    run("whole", *flags, "--shard", size=2)
    for name in ("copies", "whole"):
        for alone, together in zip(losses("one"), losses(name), strict=True):
            assert together == pytest.approx(alone, abs=5e-5)
    main, other = start("parts", *flags, "--shard", size=2)
    for line in main.said:
        if line.startswith("step 10/"):
            main.send(signal.SIGTERM)
            break
    for process in (main, other):
        process.wait()
    assert 10 <= read_bundle(folder / "checkpoints" / "parts").training_state.step < 20
    run("parts", *flags, "--shard", size=2)
    assert read_bundle(folder / "checkpoints" / "parts").training_state.exact
    assert digests("parts") == digests("whole")
    kept = read_bundle(folder / "checkpoints" / "parts").optimizer()["state"]
    shapes = {
        n: tuple(t.shape) for n, t in read_bundle(folder / "checkpoints" / "one").weights().items()
    }
    name = "blocks.0.sa.qkv.weight"
    keys = {"muon": "momentum", "adafactor": "row_var", "sgd": "momentum_buffer"}
    wanted = (shapes[name][0], 1) if optimizer == "adafactor" else shapes[name]
    assert tuple(kept[name][keys[optimizer]].shape) == wanted


def digests(name):
    manifest = json.loads(Path(f"checkpoints/{name}/manifest.json").read_text())
    return {file: manifest["files"][file]["sha256"] for file in ("model.pt", "optimizer.pt")}


def test_several_processes_resume_exactly(folder):
    flags = ("--max_iters", "40", "--dropout", "0.1")
    run("whole", *flags, size=3)
    main, *others = start("parts", *flags, size=3)
    for line in main.said:
        if line.startswith("step 10/"):
            main.send(signal.SIGTERM)
            break
    for process in (main, *others):
        process.wait()
    assert 10 <= read_bundle(folder / "checkpoints" / "parts").training_state.step < 40
    run("parts", *flags, size=3)
    assert read_bundle(folder / "checkpoints" / "parts").training_state.exact
    assert digests("parts") == digests("whole")


def test_a_batch_schedule_is_that_of_all_processes_and_is_gone_on_with(folder):
    stretches = [{"from_iter": 3, "grad_accum_steps": 3}, {"from_iter": 8, "grad_accum_steps": 1}]
    flags = ("--batch_schedule", json.dumps(stretches), "--lr_schedule", "constant")
    flags += ("--sampling", "epoch", "--weight_decay_schedule", "constant")
    run("one", "--max_iters", "12", *flags, size=1)
    run("whole", "--max_iters", "12", *flags, size=2)
    for alone, together in zip(losses("one"), losses("whole"), strict=True):
        assert together == pytest.approx(alone, abs=2e-5)
    run("parts", "--max_iters", "5", *flags, size=2)
    run("parts", "--max_iters", "12", size=2)
    state, whole = (
        read_bundle(folder / "checkpoints" / name).training_state for name in ("parts", "whole")
    )
    assert (state.exact, state.epoch.windows) == (True, whole.epoch.windows)
    assert state.tokens_processed == whole.tokens_processed == 25 * 6 * 16
    assert digests("parts") == digests("whole")


def test_several_processes_fall_back_on_one_copy(folder):
    flags = ("--max_iters", "20", "--snapshot_interval", "10")
    run("cat", *flags, size=2)
    whole = digests("cat")
    shutil.rmtree("checkpoints/cat_step00000020")
    shutil.rmtree("checkpoints/cat_gold")
    Path("checkpoints/cat/optimizer.pt").write_bytes(b"")
    first, second = run("cat", *flags, "--fall_back", size=2)
    assert "Falling back on checkpoints/cat_step00000010, at step 10" in first
    assert "Falling back" not in second
    assert digests("cat") == whole
    assert sorted(Path("checkpoints").glob("cat_damaged*")) == [Path("checkpoints/cat_damaged")]


def test_a_tied_model_is_split_and_saved(folder):
    run("tied", "--max_iters", "2", "--tie_weights", "--no_head_bias", "--shard", size=2)
    bundle = read_bundle(folder / "checkpoints" / "tied")
    weights = bundle.weights()
    assert bundle.training_state.step == 2
    assert torch.equal(weights["lm_head.weight"], weights["token_embedding_table.weight"])


def test_a_dead_process_ends_the_run_with_one_line_and_an_intact_bundle(folder):
    main, other = start("dead", "--max_iters", "100000", size=2)
    for line in main.said:
        if line.startswith("step 20/"):
            other.send(signal.SIGKILL)
            break
    rest = main.wait().splitlines()
    other.wait()
    assert main.code == 1
    said = [line for line in rest if line.startswith("error: ")]
    assert said == [
        "error: another process of this run has ended; what was saved last is whole; "
        "see what it said, and start the same command again"
    ]
    assert "Traceback" not in "".join(rest)
    assert read_bundle(folder / "checkpoints" / "dead").training_state.step >= 10


def test_a_signal_to_one_process_stops_all_of_them(folder):
    main, other = start("stopped", "--max_iters", "100000", size=2)
    for line in main.said:
        if line.startswith("step 10/"):
            other.send(signal.SIGTERM)
            break
    rest = main.wait()
    other.wait()
    assert (main.code, other.code) == (1, 1)
    assert "everything is saved" in rest
    assert "torchrun --nproc-per-node=2 -m mypt train --model_name stopped" in rest


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (("--input_file", "-"), "--input_file"),
        (("--input_file", "input.txt", "--input_file", "-"), "--input_file"),
        (("--curriculum", '[{"name": "a", "input_file": "-"}]'), "--curriculum"),
    ],
)
def test_standard_input_is_for_one_process_and_one_says_so(folder, flags, field):
    words = [word for word in FLAGS if word not in ("--input_file", "input.txt")]
    command = ("train", "--model_name", "m", *words, *flags)
    processes = [Command(*command, env=variables) for variables in ranks(2)]
    said = [process.wait() for process in processes]
    assert [process.code for process in processes] == [2, 2]
    assert said == [
        f"error: {field}: names the standard input, which several processes cannot share; write it"
        " to a file first, or to a data set: mypt data prepare - --output FOLDER\n",
        "",
    ]
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("how", [(), ("--shard",)], ids=["ddp", "fsdp"])
def test_a_run_that_diverges_ends_in_all_processes_and_keeps_what_was_saved(folder, how):
    flags = ("--max_iters", "1000", "--learning_rate", "1e9", "--grad_clip", "0", *how)
    processes = start("away", *flags, size=2)
    for process in processes:
        said = [line for line in process.wait().splitlines() if line.startswith("error: ")]
        assert process.code == 1
        assert len(said) == 1
        assert "checkpoints/away: training has diverged" in said[0]
        assert "step 0 stays as it was saved" in said[0]
    weights = read_bundle(folder / "checkpoints" / "away").weights()
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


def test_a_plugins_optimizer_is_split_over_processes_and_goes_on_exactly(folder, monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    source = Path(optimizer_plugin.__file__).read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(install(folder, "acme-sgd", source, module="acme_sgd"))
    flags = ("--max_iters", "20", "--optimizer", "acme_momentum", "--shard", "--n_layer", "1")
    run("whole", *flags, size=2)
    main, other = start("parts", *flags, size=2)
    for line in main.said:
        if line.startswith("step 10/"):
            main.send(signal.SIGTERM)
            break
    for process in (main, other):
        process.wait()
    assert 10 <= read_bundle(folder / "checkpoints" / "parts").training_state.step < 20
    run("parts", *flags, size=2)
    assert digests("parts") == digests("whole")
    bundle = read_bundle(folder / "checkpoints" / "parts")
    state, weights = bundle.optimizer(), bundle.weights()
    assert bundle.training_state.exact
    assert state["optimizer"] == "acme_momentum"
    assert state["state"].keys() == weights.keys()
    for name, entry in state["state"].items():
        assert entry["momentum_buffer"].shape == weights[name].shape


def test_a_state_of_other_shapes_goes_on_inexactly_where_it_is_split(folder, monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    source = Path(optimizer_plugin.__file__).read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(install(folder, "acme-sgd", source, module="acme_sgd"))
    flags = ("--optimizer", "acme_mixed", "--shard", "--n_layer", "1")
    run("mixed", "--max_iters", "2", *flags, size=2)
    run("mixed", "--max_iters", "3", *flags, size=2)
    state = read_bundle(folder / "checkpoints" / "mixed").training_state
    assert any("keeps beside its parameters' shapes" in reason for reason in state.inexact_reasons)
    document = read_bundle(folder / "checkpoints" / "mixed").optimizer()
    assert {entry["count"] for entry in document["state"].values() if "count" in entry} == {3}


@pytest.mark.parametrize("how", [(), ("--shard",)], ids=["ddp", "fsdp"])
def test_a_mean_of_the_weights_saves_and_limits_hold_for_all_processes(folder, how):
    flags = (*how, "--ema", "0.8", "--save_interval", "3", "--max_tokens", str(192 * 25 + 1))
    run("alone", *flags[len(how) :], size=1)
    run("whole", *flags, size=2)
    main, other = start("parts", *flags, size=2)
    for line in main.said:
        if line.startswith("step 10/"):
            main.send(signal.SIGKILL)
            break
    for process in (main, other):
        process.wait()
    step = read_bundle(folder / "checkpoints" / "parts").training_state.step
    assert step >= 9  # saved between two evaluations
    first, _ = run("parts", *flags, size=2)
    assert "Ended before max_iters 1000" in first
    assert digests("parts") == digests("whole")
    means = [read_bundle(folder / "checkpoints" / name) for name in ("parts_ema", "whole_ema")]
    first_mean, second_mean = (bundle.weights() for bundle in means)
    assert all(torch.equal(first_mean[key], value) for key, value in second_mean.items())
    state = read_bundle(folder / "checkpoints" / "parts").training_state
    assert (state.step, state.exact) == (26, True)
    for name in ("whole", "whole_ema"):
        here = read_bundle(folder / "checkpoints" / name).weights()
        alone = read_bundle(folder / "checkpoints" / name.replace("whole", "alone")).weights()
        for key, value in alone.items():
            torch.testing.assert_close(here[key], value, rtol=1e-3, atol=2e-4)


def test_the_clock_of_the_first_process_ends_and_saves_all(folder):
    flags = ("--save_minutes", "0.00001", "--max_minutes", "0.02", "--max_iters", "1000000")
    first, second = run("timed", *flags, size=2)
    assert "max_minutes is 0.02" in first
    assert "max_minutes" not in second
    state = read_bundle(folder / "checkpoints" / "timed").training_state
    assert state.step == state.evaluated_step
    assert state.elapsed_s >= 1.2


@pytest.mark.parametrize(
    ("how", "sampling"), [((), "random"), (("--shard",), "epoch")], ids=["ddp", "fsdp"]
)
def test_a_mixture_and_another_loss_do_not_depend_on_the_number_of_processes(
    folder, monkeypatch, text, how, sampling
):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    source = Path(loss_plugin.__file__).read_text(encoding="utf-8")
    monkeypatch.syspath_prepend(install(folder, "acme-losses", source, module="acme_losses"))
    (folder / "dogs.txt").write_text(text.replace("cat", "dog"))
    (folder / "val.txt").write_text(text[::2])
    monkeypatch.setattr(
        "tests.scenarios.test_processes.FLAGS",
        (
            *("--mixture", '{"input.txt": 3, "dogs.txt": 1}', "--val_file", "val.txt"),
            *("--loss", "focal", "--sampling", sampling, *FLAGS[2:]),
        ),
    )
    run("one", "--max_iters", "10", size=1)
    run("two", "--max_iters", "10", *how, size=2)
    for alone, together in zip(losses("one"), losses("two"), strict=True):
        assert together == pytest.approx(alone, abs=2e-5)
    one, two = (read_bundle(folder / "checkpoints" / n).training_state for n in ("one", "two"))
    assert (one.data, one.epoch) == (two.data, two.epoch)
    assert (two.epoch is None) == (sampling == "random")


def test_processes_that_torchrun_starts_again_do_not_take_the_old_ones_for_each_other(folder):
    """It keeps its store, in which those before have left where they were to be found."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    agent = {"MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    words = ("train", "--model_name", "again", *FLAGS, "--max_iters")
    for iters in (2, 4):
        started = [Command(*words, iters, env={**env, **agent}) for env in ranks(2)]
        said = [process.wait() for process in started]
        assert [process.code for process in started] == [0, 0], said
    assert read_bundle(Path("checkpoints/again")).training_state.step == 4
