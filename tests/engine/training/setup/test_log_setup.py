"""The log of a run: which file it is, and that it has also what fails before the first step."""

from pathlib import Path

import pytest

import mypt
from mypt.engine.logging.log_file import lock_log
from mypt.plotting.find_log import read_runs
from mypt.plugins.manager import load_plugins
from tests.support.events import read_lines


def test_a_log_that_nobody_asked_for_refuses_no_run(in_tmp, text):
    """As of two loops in Python whose folders have the same name."""
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(
        n_layer=1, n_head=1, n_embd=8, block_size=8, batch_size=2, vocab_size=tokenizer.vocab_size
    )
    loader, model = mypt.GPTDataLoader(config, tokenizer, text=text), mypt.GPT(config, tokenizer)
    given = {"checkpoint_dir": in_tmp / "here" / "m", "eval_interval": 2, "eval_iters": 1}
    with lock_log(Path("logs/train/m_eval.jsonl")):
        state = model.fit(loader, max_iters=2, quiet=True, **given)
    assert not Path("logs/train/m_eval.jsonl").exists()
    beside = Path(f"logs/train/m_eval_{state.run_id[:8]}.jsonl")
    said = [line["message"] for line in read_lines(beside) if line["event"] == "notice"]
    assert f"Logging to {beside}, since another run logs to logs/train/m_eval.jsonl" in said
    model.fit(
        loader, max_iters=4, quiet=True, **given
    )  # goes on there, though nobody is in its way
    assert not Path("logs/train/m_eval.jsonl").exists()
    (run,) = read_runs([str(in_tmp / "here" / "m")], load_plugins())
    assert [evaluation.step for evaluation in run.evaluations] == [0, 2, 4]


def test_a_failure_before_the_first_step_is_logged(train, logged, monkeypatch):
    def fail(*args, **more):
        raise LookupError

    monkeypatch.setattr("mypt.engine.training.run.Trainer", fail)
    with pytest.raises(LookupError):
        train()
    assert [(e["iter"], e["error"], e["reason"]) for e in logged(kind="failed")] == [
        (0, "LookupError", "LookupError")
    ]
