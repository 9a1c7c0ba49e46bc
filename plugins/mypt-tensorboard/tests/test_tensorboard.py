import json
import warnings

import pytest

import mypt
from mypt.plugins.manager import load_plugins
from mypt.testing import check_sink


@pytest.fixture(scope="module")
def read():
    """Read a run's event files with TensorBoard's own reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
        from tensorboard.util.tensor_util import make_ndarray

    def series(folder):
        found = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
        return {
            tag: [(e.step, plain(make_ndarray(e.tensor_proto))) for e in found.Tensors(run, tag)]
            for run, tags in found.Runs().items()
            for tag in tags["tensors"]
        }

    def plain(array):
        return array.item() if array.size == 1 and array.dtype.kind == "f" else array.tolist()

    return series


def test_it_does_what_a_sink_must(read):
    def steps(folder):
        return [step for step, _ in read(folder / "logs" / "tensorboard")["learning_rate"]]

    check_sink(load_plugins().sinks["tensorboard"], steps)


def test_the_curves_of_a_run_are_those_of_its_log(tmp_path, read):
    text = "the cat sat on the mat, twice. " * 40
    tokenizer = load_plugins().tokenizer("char").train(text)
    sizes = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 1, "batch_size": 2}
    config = mypt.GPTConfig(**sizes, vocab_size=tokenizer.vocab_size)
    mypt.GPT(config, tokenizer).fit(
        mypt.GPTDataLoader(config, tokenizer, text=text),
        max_iters=6,
        eval_interval=2,
        eval_iters=1,
        log_interval=3,
        beta2=0.97,
        checkpoint_dir=tmp_path / "model",
        log_file=str(tmp_path / "logs" / "tiny.jsonl"),
        log_sinks={"tensorboard": {}},
        quiet=True,
    )
    lines = [*map(json.loads, (tmp_path / "logs" / "tiny.jsonl").read_text().splitlines())]
    evals = [event for event in lines if event.get("event") == "eval"]
    curves = read(tmp_path / "logs" / "tensorboard")
    for name in ("train", "val"):
        wanted = [(event["iter"], pytest.approx(event[f"{name}_loss"])) for event in evals]
        assert curves[f"loss/{name}"] == wanted
    assert {"learning_rate", "tokens_processed", "loss/gold"} <= curves.keys()
    steps = [event for event in lines if event["event"] == "step"]
    names = {"loss": "train_loss", "learning_rate": "lr", "grad_norm": "grad_norm"}
    for tag, name in (names | {"memory_bytes": "memory_bytes"}).items():
        wanted = [(event["iter"], pytest.approx(event[name])) for event in steps]
        assert curves[f"step/{tag}"] == wanted
    assert [step for step, _ in curves["step/loss"]] == [3, 6]
    saved = [event for event in lines if event["event"] == "saved"]
    assert curves["save/bytes"] == [(e["iter"], pytest.approx(e["size_bytes"])) for e in saved]
    ((_, (text,)),) = curves["run"]
    assert b"| beta2 | `0.97` |" in text
    assert b"| n_embd | `8` |" in text


def test_a_run_that_fails_says_so(tmp_path, read):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams import api_pb2, metadata

    from mypt.plugins import RunInfo
    from mypt.testing.sinks import run_events

    for name, status in (("well", api_pb2.STATUS_SUCCESS), ("badly", api_pb2.STATUS_FAILURE)):
        log = tmp_path / name / "logs" / "tiny_eval.jsonl"
        sink = load_plugins().sinks["tensorboard"].build(RunInfo("tiny", log))
        for event in run_events(0, 20):
            sink.emit(event)
        if name == "badly":
            failed = {"event": "failed", "iter": 20, "error": "SaveError", "reason": "disk full"}
            sink.emit({**failed, "timestamp": "2026-02-09T14:30:00"})
        sink.close()
        (path,) = (tmp_path / name / "logs" / "tensorboard").rglob("*tfevents*")
        values = [v for e in EventFileLoader(str(path)).Load() for v in e.summary.value]
        (end,) = (v for v in values if v.tag == metadata.SESSION_END_INFO_TAG)
        parsed = metadata.parse_session_end_info_plugin_data(end.metadata.plugin_data.content)
        assert parsed.status == status
    curves = read(tmp_path / "badly" / "logs" / "tensorboard")
    assert curves["failed"] == [(20, [b"SaveError: disk full"])]


def test_a_run_that_goes_on_between_evaluations_keeps_the_steps_before(tmp_path, read):
    from mypt.plugins import RunInfo
    from mypt.testing.sinks import run_events

    log = tmp_path / "logs" / "tiny_eval.jsonl"
    build = load_plugins().sinks["tensorboard"].build
    stopped = build(RunInfo("tiny", log))
    for event in run_events(0, 15):
        stopped.emit(event)
    stopped.close()
    resumed = build(RunInfo("tiny", log, start_step=15, evaluated_step=10, resumed=True))
    for event in run_events(15, 30):
        resumed.emit(event)
    resumed.close()
    curves = read(tmp_path / "logs" / "tensorboard")
    assert [step for step, _ in curves["step/loss"]] == [5, 10, 15, 20, 25]


def test_models_with_one_log_have_curves_of_their_own(tmp_path, read):
    from mypt.plugins import RunInfo
    from mypt.testing.sinks import run_events

    log = tmp_path / "logs" / "one.jsonl"
    for name, last in (("dante", 40), ("virgil", 20)):
        sink = load_plugins().sinks["tensorboard"].build(RunInfo(name, log))
        for event in run_events(0, last):
            sink.emit(event)
        sink.close()
    for name, last in (("dante", 40), ("virgil", 20)):
        curves = read(tmp_path / "logs" / "tensorboard" / "one" / name)
        assert [step for step, _ in curves["learning_rate"]] == [*range(10, last + 1, 10)]


def test_it_has_no_options():
    from mypt.plugins.selection import select_options

    sinks = load_plugins().sinks
    with pytest.raises(mypt.MyptError, match=r"^log_sinks/tensorboard/x: is not an option; leave"):
        select_options("log_sinks", {"tensorboard": {"x": 1}}, sinks)
    assert select_options("log_sinks", {"tensorboard": {}}, sinks)["tensorboard"] == {}


def test_a_run_without_a_log_has_no_event_files():
    from mypt.plugins import RunInfo

    assert load_plugins().sinks["tensorboard"].build(RunInfo("tiny", None)) is None
