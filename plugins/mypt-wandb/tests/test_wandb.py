"""Offline runs, read back from the files that `wandb sync` sends."""

import json
import struct
import time
import warnings
from types import SimpleNamespace

import pytest

import mypt
from mypt.plugins.manager import load_plugins
from mypt.testing import check_sink

BLOCK, HEADER = 32768, 7
TEXT = "the cat sat on the mat, twice. " * 40


def records_of(path):
    """Yield the records of a file of wandb, which is a log of LevelDB behind seven bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from wandb.proto.wandb_internal_pb2 import Record
    data, at, parts = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # a whole one, or the last part of one
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def value_of(items):
    """Give the values of records of items, by their names."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def runs_in(folder):
    """Give what each offline run has recorded, the oldest first.

    The service of wandb may write the end of a run a moment after it has ended.
    """
    until = time.monotonic() + 30
    while any(run.exit_code is None for run in read_runs(folder)) and time.monotonic() < until:
        time.sleep(0.1)
    return read_runs(folder)


def read_runs(folder):
    found = []
    for path in sorted(folder.rglob("*.wandb"), key=lambda p: p.stat().st_mtime_ns):
        run = SimpleNamespace(id="", config={}, summary={}, rows={}, exit_code=None, begun=None)
        for record in records_of(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run.id, run.begun = record.run.run_id, record.run
                run.config |= value_of(record.run.config.update)
            elif kind == "config":
                run.config |= value_of(record.config.update)
            elif kind == "summary":
                run.summary |= value_of(record.summary.update)
            elif kind == "history":
                row = value_of(record.history.item)
                run.rows.setdefault(row["_step"], {}).update(row)
            elif kind == "exit":
                run.exit_code = record.exit.exit_code
        found.append(run)
    return found


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.chdir(tmp_path)


def train(folder, **options):
    tokenizer = load_plugins().tokenizer("char").train(TEXT)
    sizes = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "batch_size": 2}
    config = mypt.GPTConfig(**sizes, vocab_size=tokenizer.vocab_size)
    model = mypt.load(folder) if folder.exists() else mypt.GPT(config, tokenizer)
    given = {"eval_interval": 4, "eval_iters": 1, "log_interval": 2, "max_iters": 8, **options}
    model.fit(
        mypt.GPTDataLoader(model.config, model.tokenizer, text=TEXT),
        checkpoint_dir=folder,
        log_file=str(folder.parent / "logs" / f"{folder.name}.jsonl"),
        quiet=True,
        **given,
    )


def logged(folder, kind):
    lines = (folder.parent / "logs" / f"{folder.name}.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_it_does_what_a_sink_must():
    def steps(folder):
        rows = {}
        for run in runs_in(folder):  # with one id, and so one run there, with one row a step
            rows |= {step: row for step, row in run.rows.items() if "loss/val" in row or step == 30}
        return sorted(rows)

    check_sink(load_plugins().sinks["wandb"], steps)


def test_a_run_has_the_whole_config_all_figures_and_what_was_saved(tmp_path):
    options = {"project": "poems", "tags": ["short"], "name": "first", "group": "g", "notes": "n"}
    train(tmp_path / "model", log_sinks={"wandb": options}, beta2=0.97)
    (run,) = runs_in(tmp_path / "logs" / "wandb")
    assert (run.begun.project, run.begun.display_name, run.begun.run_group) == (
        "poems",
        "first",
        "g",
    )
    assert list(run.begun.tags) == ["short"]
    assert run.config["beta2"] == 0.97
    assert run.config["n_embd"] == 8
    assert run.config["environment"]["device"] == "cpu"
    for event in logged(tmp_path / "model", "step"):
        row = run.rows[event["iter"]]
        assert row["step/loss"] == event["train_loss"]
        for name in ("grad_norm", "lr", "tokens_per_sec", "memory_bytes", "tokens_processed"):
            assert row[f"step/{name}"] == event[name]
        assert "step/mfu" not in row  # is not known of a CPU
    for event in logged(tmp_path / "model", "eval"):
        assert run.rows[event["iter"]]["loss/val"] == event["val_loss"]
        assert run.rows[event["iter"]]["loss/train"] == event["train_loss"]
    gold = logged(tmp_path / "model", "gold_checkpoint")
    assert [run.rows[event["iter"]]["loss/gold"] for event in gold] == [
        event["val_loss"] for event in gold
    ]
    saved = logged(tmp_path / "model", "saved")[-1]
    assert run.summary["saved"]["step"] == saved["iter"] == 8
    assert run.exit_code == 0


def test_a_run_that_goes_on_is_the_same_run_and_a_model_that_begins_with_it_is_another(tmp_path):
    sinks = {"log_sinks": {"wandb": {}}}
    train(tmp_path / "model", **sinks)
    train(tmp_path / "model", **sinks, max_iters=12)
    first, second = runs_in(tmp_path / "logs" / "wandb")
    state = json.loads((tmp_path / "model" / "training_state.json").read_text())
    assert first.id == second.id == state["sinks"]["wandb"]["id"]
    assert min(second.rows) > 8
    train(tmp_path / "model_gold", **sinks, max_iters=14)
    assert runs_in(tmp_path / "logs" / "wandb")[-1].id != first.id


def test_a_run_that_fails_ends_as_a_failed_one(tmp_path):
    def fail(event):
        if event.step == 3:
            raise LookupError("no cat")

    with pytest.raises(LookupError):
        train(tmp_path / "model", log_sinks={"wandb": {}}, after_step=fail)
    (run,) = runs_in(tmp_path / "logs" / "wandb")
    assert run.exit_code == 1
    assert run.summary["failed"] == "LookupError: no cat"


def test_options_are_checked():
    from mypt.plugins.selection import select_options

    sinks = load_plugins().sinks
    for options, said in (({"mode": "nowhere"}, "wandb/mode"), ({"projekt": "x"}, "projekt")):
        with pytest.raises(mypt.MyptError, match=said):
            select_options("log_sinks", {"wandb": options}, sinks)
