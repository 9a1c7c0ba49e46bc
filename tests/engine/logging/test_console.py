import io
import math
import re

import pytest
from attrs import evolve
from rich.console import Console

from mypt.engine.evaluation.gold import GoldDecision
from mypt.engine.logging import events, reports
from mypt.engine.logging.console import ConsoleSink
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import BatchStretch, GoldMemory, TrainingConfig
from mypt.plugins import Evaluation
from tests.support.events import TRAINING, eval_event, one_update, step_event


def console_lines(*emitted, clock=lambda: 0.0):
    stream = io.StringIO()
    sink = ConsoleSink(Console(file=stream, width=200), clock)
    for event in emitted:
        sink.emit(event.to_json())
    sink.close()
    return stream.getvalue().splitlines()


def test_the_console_prints_the_two_line_summary():
    start = reports.training_start(GPTConfig(), TRAINING, 10)
    told = [start, eval_event(0), eval_event(350, general=4.2345678)]
    shown = console_lines(*(evolve(event, timestamp="2026-02-09T14:30:00") for event in told))
    assert shown[1] == "step 0/75000 (0.0%) | 14:30:00 | 15m | ETA ? | 34M tokens"
    assert shown[3:] == [
        "step 350/75000 (0.5%) | 14:30:00 | 15m | ETA 0s | 34M tokens",
        "  val 4.1235 | train 4.0000 | lr 1.40e-05 | phase: circuit_formation | general 4.2346",
    ]


def test_the_console_foretells_the_end_by_the_steps_of_this_run():
    training = evolve(TRAINING, max_iters=1000, start_step=100)
    told = [reports.training_start(GPTConfig(), training, 10), eval_event(200), eval_event(300)]
    # The clocks go back an hour between the two evaluations, and are then two seconds further on.
    times = ["2026-10-25T02:59:00", "2026-10-25T02:59:50", "2026-10-25T01:59:52"]
    shown = console_lines(
        *(evolve(event, timestamp=t) for event, t in zip(told, times, strict=True)),
        clock=iter([0.0, 50.0, 52.0]).__next__,
    )
    assert "| ETA 7m |" in shown[1]  # 800 steps of half a second, as the first ones took
    assert "| ETA 14s |" in shown[3]  # 700 steps, at the pace after the first evaluation


def test_the_console_foretells_the_end_by_the_micro_steps_to_come():
    clock = iter([0.0, 100.0]).__next__
    stretches = (BatchStretch(from_iter=100, grad_accum_steps=3),)
    training = evolve(TRAINING, max_iters=200, batch_schedule=stretches)
    start = reports.training_start(GPTConfig(), training, 1)
    shown = console_lines(start, eval_event(100), clock=clock)
    assert "| ETA 5m |" in shown[1]  # 100 steps of three seconds, after as many of one


def test_the_console_foretells_nothing_of_a_run_that_is_at_its_end():
    start = reports.training_start(GPTConfig(), TRAINING, 10)
    shown = console_lines(start, eval_event(TRAINING.max_iters))
    assert "ETA" not in shown[1]
    assert shown[1].endswith(" | 15m | 34M tokens")


def test_the_console_tells_of_gold():
    def decided(promoted, reasons):
        decision = GoldDecision(promoted, reasons, 0.49, GoldMemory())
        return reports.gold_decided(eval_step, decision, 0.5173)

    eval_step = Evaluation(step=600, train_loss=0.1, val_loss=0.49)
    assert console_lines(decided(True, ()), decided(False, ("overfit: x",))) == [
        "  GOLD checkpoint! val_loss=0.4900 at step 600",
        "  GOLD blocked: val 0.4900 < best 0.5173 but overfit: x",
    ]


def test_the_console_tells_of_gold_that_a_loss_without_a_value_blocked():
    reason = "the loss of val is not a finite number"
    one = Evaluation(step=600, train_loss=0.1, val_loss=math.nan)
    decision = GoldDecision(False, (reason,), math.nan, GoldMemory())
    assert console_lines(reports.gold_decided(one, decision, 0.5173)) == [
        f"  GOLD blocked: {reason}",
    ]


def test_on_a_terminal_a_bar_shows_the_steps_and_leaves_with_the_run():
    stream = io.StringIO()
    sink = ConsoleSink(Console(file=stream, force_terminal=True, width=120))
    sink.emit(reports.training_start(GPTConfig(), TrainingConfig(max_iters=3), 10).to_json())
    for step in (1, 2, 3):
        sink.emit(one_update(step, 3).to_json())
    sink.emit(eval_event(3).to_json())
    sink.close()
    shown = stream.getvalue()
    assert "3/3" in shown
    assert "loss 2.5000" in shown
    assert "val 4.1235" in shown
    assert shown.endswith("\x1b[2K")  # the bar's line is cleared at the end


def evaluating(step, done, total=40):
    return events.Evaluating(iter=step, done=done, total=total)


def test_a_terminal_sees_the_first_evaluation_and_the_wait_for_the_first_step():
    stream = io.StringIO()
    sink = ConsoleSink(Console(file=stream, force_terminal=True, width=120))

    def shown(event):
        stream.seek(0)
        stream.truncate()
        sink.emit(event.to_json())
        sink._bar.refresh()  # as its thread does, ten times a second
        return stream.getvalue()

    training = TrainingConfig(max_iters=3)
    assert "training" in shown(reports.training_start(GPTConfig(), training, 10))
    shown(evaluating(0, 0))
    assert re.search("evaluating.*12/40", shown(evaluating(0, 12)))
    assert "evaluating" not in shown(eval_event(0)).splitlines()[-1]
    assert re.search("training.*0/3", stream.getvalue())
    sink.close()


def test_a_pipe_gets_one_line_of_the_first_evaluation():
    start = reports.training_start(GPTConfig(), TRAINING, 10)
    batches = [evaluating(0, done) for done in range(40)]
    shown = console_lines(start, *batches, eval_event(0), evaluating(100, 0), eval_event(100))
    assert shown[1] == "Evaluating step 0: 40 batches"
    assert not [line for line in shown[2:] if "Evaluating" in line]


@pytest.mark.parametrize(
    ("step_s", "said"), [(0.1, []), (2.0, ["step 2/75000 | 2s a step | the next evaluation in 3m"])]
)
def test_a_pipe_is_told_how_long_slow_steps_take_once(step_s, said):
    start = reports.training_start(GPTConfig(), evolve(TRAINING, eval_interval=100), 10)
    steps = [one_update(step, 75000) for step in range(1, 50)]
    # asked by the beginning, by the evaluation, and by the first two steps
    clock = iter([0.0, 1.0, 10.0, 10.0 + step_s]).__next__
    shown = console_lines(start, eval_event(0), *steps, clock=clock)
    assert shown[3:] == said


def on_terminal(width, *emitted):
    """Give the lines that a terminal shows at the end, before the bar leaves it."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    sink = ConsoleSink(console)
    for event in emitted:
        sink.emit(event.to_json())
    stream.seek(0)
    stream.truncate()
    sink._bar.refresh()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    sink.close()
    return [line.replace("\r", "").rstrip() for line in shown.splitlines() if line.strip()]


def test_at_80_columns_the_bar_and_all_figures_of_the_last_step_are_there():
    shown = on_terminal(
        80,
        reports.training_start(GPTConfig(), TrainingConfig(max_iters=100_000), 10),
        step_event(99_990, mfu=0.4512, grad_norm=12.3456, memory_bytes=139_586_437_120),
        one_update(99_991, 100_000),
    )
    assert "99991/100000" in shown[0]
    assert shown[1] == (
        "  loss 2.5000 | lr 1.00e-01 | grad 12.3 | 12K tokens/s | MFU 45.1% | 139.6 GB"
    )
    assert all(len(line) <= 80 for line in shown)


def test_figures_that_are_not_known_are_left_out():
    shown = on_terminal(
        80,
        reports.training_start(GPTConfig(), TrainingConfig(max_iters=30), 10),
        step_event(10, grad_norm=None, memory_bytes=None),
        one_update(11, 30),
    )
    assert shown[1] == "  loss 2.5000 | lr 1.00e-01 | 12K tokens/s"


def test_an_evaluation_shows_the_figures_of_the_last_step_once():
    start = reports.training_start(GPTConfig(), TRAINING, 10)
    told = [eval_event(0), step_event(90), step_event(100), eval_event(100), eval_event(200)]
    lines = [line for line in console_lines(start, *told) if line.startswith("  step")]
    assert lines == ["  step loss 2.5000 | grad 1.25 | 12K tokens/s | 1.2 GB"]


def test_a_pipe_gets_a_line_of_a_step_only_after_a_long_silence():
    start = reports.training_start(GPTConfig(), TRAINING, 10)
    steps = [step_event(10 * n, elapsed_s=4.0 * n, train_loss=None) for n in range(1, 21)]
    lines = [line for line in console_lines(start, *steps) if line.startswith("step")]
    assert lines == [
        f"step {step}/75000 | loss not finite | lr 3.00e-04 | grad 1.25 | 12K tokens/s | 1.2 GB"
        for step in (90, 170)
    ]
