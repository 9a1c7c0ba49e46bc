"""Check a log sink: every event of a run in order, a resume, and what it does when it fails."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from mypt.engine.evaluation.gold import GoldDecision
from mypt.engine.logging import events, reports
from mypt.engine.logging.dispatch import check_state
from mypt.engine.stopping.ends import End
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import Environment, GoldMemory, TrainingConfig
from mypt.plugins.contracts.guard import Evaluation
from mypt.plugins.contracts.sink import ResumableSink, RunInfo, SinkFactory
from mypt.testing.expectations import ContractError, check_fields, checking_results, during, expect
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypt.plugins.contracts.sink import LogSink

_TRAINING = TrainingConfig(max_iters=40, eval_interval=10, log_interval=5)
_ENVIRONMENT = Environment(torch="2.10", device="cpu", device_name="AVX2", threads=2, world_size=1)
_RUN_ID = "0123456789abcdef0123456789abcdef"


@during("the sink")
def check_sink(factory: SinkFactory, read: Callable[[Path], Sequence[int]] | None = None) -> None:
    """Check that a sink accepts all events of a run, in order, and fails only as it may.

    Args:
        factory: As the plugin offers it.
        read: Returns the steps of the evaluations that a sink has written below a folder, in the
            order in which they are stored. The folder contains the run's log,
            `logs/tiny.jsonl`. Without it only what is visible from outside is checked.

    Raises:
        ContractError: The sink violates its contract.
    """
    check_fields(factory, SinkFactory)
    check_current(factory, {})
    factory = checking_results(factory)
    with tempfile.TemporaryDirectory() as work:
        _check_silent_run(factory)
        _check_run(factory, Path(work) / "whole", read)
        _check_resume(factory, Path(work) / "resumed", read)
        _check_failure(factory, Path(work) / "blocked")


def run_events(first: int, last: int) -> list[dict[str, Any]]:
    """Return the events of a run that is evaluated every 10 steps.

    Args:
        first: The step that the run begins from.
        last: The last step of the run.
    """
    emitted: list[events.Event] = [
        reports.training_start(
            GPTConfig(), evolve(_TRAINING, start_step=first), 1000, _ENVIRONMENT, _RUN_ID
        ),
        events.Notice(message="it begins"),
    ]
    for step in range(first + 1, last + 1):
        emitted.append(events.Update(iter=step, max_iters=40, train_loss=2.5, lr=1e-3))
        if step % 5 == 0:
            emitted.append(_step_event(step))
        if step % 10 == 0:
            emitted.append(events.Evaluating(iter=step, done=0, total=4))
            emitted += [*_evaluation_events(step), _saved_event(step)]
    emitted.append(
        events.PhaseSwitch(iter=last, elapsed_s=1.0, tokens_processed=10, new_phase="second")
    )
    later = {"event": "of_a_later_version", "timestamp": events.now(), "iter": last}
    return [*(event.to_json() for event in emitted), later]


def _step_event(step: int) -> events.Step:
    diverged = step == 30  # what is not finite is None in an event, and so is what is not known
    return events.Step(
        iter=step,
        max_iters=40,
        train_loss=None if diverged else 2.5 - step / 100,
        lr=1e-3,
        grad_norm=None if diverged else 0.5,
        tokens_per_sec=1000,
        tokens_processed=64 * step,
        elapsed_s=1.0,
        mfu=None if step <= 20 else 0.42,
        memory_bytes=1 << 30,
    )


def _saved_event(step: int) -> events.Saved:
    return events.Saved(
        iter=step,
        folder="checkpoints/tiny",
        copies=("tiny_gold",),
        size_bytes=1 << 20,
        save_duration_s=0.25,
    )


def _evaluation_events(step: int) -> list[events.Event]:
    diverged = step == 30  # a loss that is not finite is None in an event
    evaluation = Evaluation(
        step=step,
        train_loss=float("nan") if diverged else 2.0,
        val_loss=float("nan") if diverged else 3.0 - step / 100,
        eval_losses={"books": 2.0},
    )
    evaluated = reports.evaluated(
        evaluation,
        _TRAINING,
        lr=1e-3,
        elapsed_s=1.0,
        tokens_processed=64 * step,
        eval_duration_s=0.1,
        phase="default",
    )
    memory = GoldMemory(best_val_loss=3.0, best_step=step)
    decision = GoldDecision(
        promoted=not diverged, reasons=("trend",), loss=evaluation.val_loss, memory=memory
    )
    gold = reports.gold_decided(evaluation, decision, None)
    return [evaluated] if gold is None else [evaluated, gold]


def ending_events(step: int) -> list[dict[str, Any]]:
    """Return the events with which a run may end after `step`."""
    last = Evaluation(step=step, train_loss=2.0, val_loss=2.6)
    complete = reports.training_complete(
        last,
        _TRAINING,
        ends=(End("max_iters", "max_iters is 40", "80"),),
        started_at=events.now(),
        elapsed_s=2.0,
        tokens_processed=64 * step,
        updates=step,
        best_val_loss=None,
        gold_step=None,
    )
    failed = events.Failed(iter=step, error="SaveError", reason="the disk is full")
    interrupted = events.Interrupted(iter=step, folder=None)
    return [event.to_json() for event in (complete, interrupted, failed)]


def _check_silent_run(factory: SinkFactory) -> None:
    """Check a run that keeps no log and prints nothing."""
    with during("a run without a log"):
        sink = factory.build(RunInfo("tiny", None, quiet=True))
        if sink is not None:
            _emit_all(sink, run_events(0, 20))
            sink.close()


def _check_run(factory: SinkFactory, folder: Path, read: Any) -> None:
    log_file = _make_log_file(folder)
    with during("a whole run"):
        sink = factory.build(RunInfo("tiny", log_file, run_id=_RUN_ID))
        expect(sink is not None, "it builds no sink for a run that keeps a log")
        _emit_all(sink, [*run_events(0, 40), *ending_events(40)])
        sink.close()  # type: ignore[union-attr]
    if read is not None:
        _expect_steps(read(folder), [10, 20, 30, 40], "a whole run")
    with during("a run that ended before its first event"):
        unused = factory.build(RunInfo("tiny", _make_log_file(folder / "unused")))
        if unused is not None:
            unused.close()


def _check_resume(factory: SinkFactory, folder: Path, read: Any) -> None:
    """Check a run that was killed after the events of step 30 and resumes from step 20."""
    log_file = _make_log_file(folder)
    with during("a resumed run"):
        killed = factory.build(RunInfo("tiny", log_file, run_id=_RUN_ID))
        before, since = _split_at_save(run_events(0, 30), 20)
        _emit_all(killed, before)
        state = _state_of(killed)
        _emit_all(killed, since)
        if state is not None:  # what it is at a service is there but once
            killed.close()  # type: ignore[union-attr]
        resumed = factory.build(
            RunInfo(
                "tiny",
                log_file,
                start_step=20,
                evaluated_step=20,
                resumed=True,
                run_id=_RUN_ID,
                state=state or {},
            )
        )
        _emit_all(resumed, run_events(20, 40))
        resumed.close()  # type: ignore[union-attr]
    if read is not None:
        _expect_steps(read(folder), [10, 20, 30, 40], "a run that was resumed from step 20")
    if state is None:
        killed.close()  # type: ignore[union-attr]


def _state_of(sink: object) -> Mapping[str, Any] | None:
    """Return what a sink needs when its run goes on; None for one that keeps nothing."""
    return check_state(sink.state()) if isinstance(sink, ResumableSink) else None


def _split_at_save(
    emitted: Sequence[dict[str, Any]], step: int
) -> tuple[Sequence[dict[str, Any]], Sequence[dict[str, Any]]]:
    """Split the events of a run where it saves a step, after which it saves no other."""
    saves = [event["event"] == "saved" and event["iter"] == step for event in emitted]
    at = saves.index(True)
    later = [event for event in emitted[at + 1 :] if event["event"] != "saved"]
    return emitted[:at], [emitted[at], *later]


def _check_failure(factory: SinkFactory, folder: Path) -> None:
    """Check that what a sink raises in an unusable folder is something that a run survives."""
    folder.write_text("in the way")
    try:
        sink = factory.build(RunInfo("tiny", folder / "logs" / "tiny.jsonl"))
        if sink is not None:
            for event in run_events(0, 10):
                sink.emit(event)
            sink.close()
    except KeyboardInterrupt:
        raise
    except Exception:  # it is reported, and the run continues without the sink
        return
    except BaseException as error:
        message = f"it fails with {type(error).__name__}, which ends the run; raise an Exception"
        raise ContractError(message) from error


def _emit_all(sink: LogSink | None, emitted: Sequence[dict[str, Any]]) -> None:
    if sink is None:
        return
    for event in emitted:
        before = copy.deepcopy(event)
        with during(f"the event {event['event']}"):
            sink.emit(event)
        expect(
            event == before,
            f"it changes the event {event['event']}, which other sinks get too",
        )


def _expect_steps(found: Sequence[int], wanted: list[int], what: str) -> None:
    expect(
        list(found) == wanted, f"for {what} it has written evaluations {list(found)}, not {wanted}"
    )


def _make_log_file(folder: Path) -> Path:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    return folder / "logs" / "tiny.jsonl"
