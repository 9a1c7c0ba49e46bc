import json
import os
from pathlib import Path

import pytest
from attrs import evolve

from mypt.engine.logging import events, reports
from mypt.engine.logging.log_file import check_is_log, end_notices, find_end, lock_log
from mypt.engine.logging.log_lines import LogOwner
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import ConfigError, LockedError, SaveError
from mypt.plugins import RunInfo
from tests.support.events import TRAINING, complete_event, eval_event, saved_event, step_event

OWN, OTHER = LogOwner("dante", "1"), LogOwner("virgil", "2")
BEGIN = reports.training_start(GPTConfig(), TRAINING, 10)
NOTICE = events.Notice(message="something")
GOLD = events.GoldCheckpoint(iter=100, val_loss=1.0, gold_loss=None, prev_best=None)


def line(event, owner=OWN):
    return json.dumps({**event.to_json(), **({} if owner is None else owner.fields)}) + "\n"


def evals(*steps, owner=OWN):
    return "".join(line(eval_event(step), owner) for step in steps)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def resumed(log, step, evaluated=None):
    """The run of OWN that goes on from a step."""
    evaluated = step if evaluated is None else evaluated
    return RunInfo(
        "dante", log, start_step=step, evaluated_step=evaluated, resumed=True, run_id="1"
    )


def stays(log, run):
    """Give what stays of a log when a run goes on in it."""
    return log.read_bytes()[: find_end(run).size_bytes].decode()


def without(log, number):
    """Give the text of a log without its last lines."""
    return "".join(log.read_text().splitlines(keepends=True)[:-number])


def test_what_a_killed_run_logged_after_its_save_is_logged_again(log):
    log.write_text(line(BEGIN) + evals(0, 100) + line(NOTICE) + evals(200))
    assert stays(log, resumed(log, 100)) == without(log, 1)
    log.write_text(line(BEGIN) + evals(0, 100) + line(NOTICE) + line(GOLD))
    end = find_end(resumed(log, 0))
    assert (end.lines, end.later_step) == (3, None)
    assert [*end_notices(resumed(log, 0), end)] == [
        f"{log}: removed the last 3 lines, logged after the last save; the run logs that again"
    ]


def test_more_than_a_killed_run_leaves_stays_and_is_told_of(log):
    log.write_text(evals(*range(0, 5000, 100)))
    run = resumed(log, 4600)
    assert stays(log, run) == stays(log, resumed(log, 4700)) == log.read_text()
    (notice,) = end_notices(run, find_end(run))
    assert "has logged up to step 4900, further than a run gets without a save" in notice
    assert stays(log, resumed(log, 4800)) == without(log, 1)


FAILED = events.Failed(iter=155, error="SaveError", reason="the disk is full")


def test_steps_after_the_save_are_logged_again_and_a_failure_is_kept(log):
    before = evals(0, 100) + line(saved_event(100))
    after = line(step_event(110)) + line(step_event(150))
    log.write_text(before + after + line(FAILED))
    end = find_end(resumed(log, 100))
    assert stays(log, resumed(log, 100)) == before
    assert (end.kept.decode(), end.lines) == (line(FAILED), 2)
    log.write_text(before + line(FAILED))
    assert find_end(resumed(log, 100)).lines == 0
    assert stays(log, resumed(log, 100)) == log.read_text()


def test_steps_up_to_a_stop_between_evaluations_stay(log):
    stopped = events.Interrupted(iter=115, folder="m")
    log.write_text(evals(0, 100) + line(step_event(110)) + line(stopped))
    assert stays(log, resumed(log, 115, 100)) == log.read_text()
    log.write_text(evals(0, 100) + line(step_event(110)) + line(step_event(120)))
    assert stays(log, resumed(log, 115, 100)) == without(log, 1)


def test_any_number_of_evaluations_after_a_logged_save_is_logged_again(log):
    log.write_text(evals(0) + line(saved_event(0)) + evals(100, 200, 300))
    assert stays(log, resumed(log, 0)) == without(log, 3)
    begin = reports.training_start(GPTConfig(), evolve(TRAINING, start_step=100), 10)
    log.write_text(evals(0, 100) + line(begin) + evals(200, 300))
    assert stays(log, resumed(log, 100)) == without(log, 2)


def test_a_run_that_was_set_back_behind_a_logged_save_keeps_its_lines(log):
    log.write_text(evals(0, 100) + line(saved_event(100)) + evals(200) + line(saved_event(200)))
    assert stays(log, resumed(log, 100)) == log.read_text()
    assert find_end(resumed(log, 100)).later_step == 200


@pytest.mark.parametrize("last", [events.Interrupted(iter=200, folder="m"), complete_event()])
def test_nothing_that_was_saved_is_removed(log, last):
    """The run says itself that it has saved: its state was set back since."""
    log.write_text(evals(0, 100, 200) + line(last))
    run = resumed(log, 100)
    assert stays(log, run) == log.read_text()
    assert find_end(run).later_step in (200, 75000)
    assert find_end(resumed(log, 75000)).later_step is None


def test_what_is_told_at_the_step_of_a_resume_is_kept_if_it_is_not_done_again(log):
    switch = events.PhaseSwitch(iter=100, elapsed_s=1.0, tokens_processed=1, new_phase="b")
    stopped = events.Interrupted(iter=101, folder="x")
    log.write_text(evals(50, 100) + line(switch) + line(NOTICE) + line(stopped))
    assert stays(log, resumed(log, 101, 100)) == log.read_text()
    log.write_text(evals(50, 100) + line(switch) + line(NOTICE))
    assert stays(log, resumed(log, 100)) == without(log, 2)
    assert stays(log, resumed(log, 100, 50)) == without(log, 3)  # stopped while it evaluated


@pytest.mark.parametrize(
    "owner", [OTHER, evolve(OWN, run_id="3"), evolve(OWN, model_name="x"), None]
)
def test_lines_of_another_run_are_never_removed(log, owner):
    log.write_text(evals(0, 100) + evals(100, 200, owner=owner))
    for run in (resumed(log, 0), resumed(log, 100), evolve(resumed(log, 0), resumed=False)):
        assert stays(log, run) == log.read_text()
    with log.open("a") as stream:
        stream.write(evals(200))
    assert stays(log, resumed(log, 100)) == without(log, 1)
    anonymous = evolve(resumed(log, 0), run_id=None)
    assert stays(log, anonymous) == log.read_text()


@pytest.mark.parametrize("run", [True, False])
@pytest.mark.parametrize("torn", ['{"event": "eval", "iter": 3', "{", "\0" * 100])
def test_half_a_line_is_removed(log, torn, run):
    log.write_text(evals(0) + torn)
    run = evolve(resumed(log, 0), resumed=run)
    assert stays(log, run) == log.read_text()[: -len(torn)]
    assert [*end_notices(run, find_end(run))] == [f"{log}: removed an unfinished last line"]


@pytest.mark.parametrize(
    "last",
    [evals(0)[:-1], "a remark of somebody", '{"glued"' + evals(0)[:-1]],
    ids=["an event", "a remark", "glued lines"],
)
def test_a_last_line_without_newline_stays_if_it_is_whole(log, last):
    log.write_text(evals(0) + last)
    end = find_end(resumed(log, 0))
    assert (end.size_bytes, end.is_open, end.is_torn) == (log.stat().st_size, True, False)
    log.write_text(evals(0, 100)[:-1])  # all but the newline was written
    assert find_end(resumed(log, 0)).is_open is False
    assert find_end(resumed(log, 0)).lines == 1


def test_lines_of_others_are_left_alone(log):
    log.write_text('{"iter": "many"}\n[1]\nnot JSON\n{"iter": null}\n\n')
    assert stays(log, resumed(log, 0)) == log.read_text()
    log.write_text("")
    assert find_end(resumed(log, 0)).size_bytes == 0
    assert find_end(resumed(log.with_name("none"), 0)).size_bytes == 0


def test_lines_longer_than_a_block_are_read(log):
    long = line(events.Notice(message="x" * 200_000))
    log.write_text(evals(0) + long + evals(100) + long)
    assert stays(log, resumed(log, 0)) == log.read_text()[: len(evals(0) + long)]


def test_only_the_end_of_a_log_is_read(log, monkeypatch):
    with log.open("w") as stream:
        stream.writelines([evals(0)] * 100_000)
    read = []

    def pread(lines):
        for each in lines:
            read.append(each)
            yield each

    from mypt.engine.logging import log_file

    backwards = log_file._read_backwards
    monkeypatch.setattr(log_file, "_read_backwards", lambda *a: pread(backwards(*a)))
    assert find_end(resumed(log, 100)).size_bytes == log.stat().st_size
    assert len(read) == 1


LOGS = {
    "new": '{"event": "training_start", "con',
    "torn at once": '{"eve',
    "empty": "",
    "early": '{"iter": 0, "val_loss": 4.5}\n',
    "whole": evals(0),
    "of MyPT": evals(0, owner=None),
}
DOCUMENTS = {
    "prose": "a document\nwhose last line has no newline",
    "prose of one line": "a document",
    "prose on events": 'as in {"event": "eval", "iter": 0, "val_loss": 1}\n',
    "a preset": '{"n_layer": 2, "learning_rate": 0.1}',
    "a preset on lines": '{\n  "n_layer": 2\n}\n',
    "chats": '{"messages": [{"role": "user", "content": "x"}]}\n',
    "other events": '{"event": "click"}\n',
    "blank": "\n\n",
    "numbers": "\0\0\1\0",
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_recognized(log, name):
    log.write_text(LOGS[name])
    check_is_log(log)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_not_a_log_is_refused(log, name):
    log.write_text(DOCUMENTS[name])
    with pytest.raises(ConfigError, match=r"log: is not a log: .*choose another --log_file"):
        check_is_log(log)


def test_every_log_of_mypt_is_recognized(fixtures):
    logs = sorted((fixtures / "mypt" / "logs").glob("*.jsonl"))
    assert logs
    for path in logs:
        check_is_log(path)


def test_a_place_for_a_log_may_be_empty(log, tmp_path):
    check_is_log(log)
    log.symlink_to("later")
    check_is_log(log)
    with pytest.raises(ConfigError, match="is not a file"):
        check_is_log(tmp_path)


def test_a_log_has_one_writer_however_it_is_named(log, tmp_path):
    (tmp_path / "link").symlink_to("log")
    with lock_log(log):
        for name in ("log", "link"):
            with pytest.raises(LockedError) as refused, lock_log(tmp_path / name):
                pass
            assert f"{name}: is being written by process {os.getpid()} on " in str(refused.value)
            assert "choose another --log_file" in str(refused.value)
        with lock_log(tmp_path / "other"):
            pass
    with lock_log(log):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_the_folder_of_a_log_is_made_or_that_is_one_line(tmp_path):
    with lock_log(tmp_path / "a" / "b" / "log"):
        assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SaveError, match="log: could not be written"),
        lock_log(tmp_path / "file" / "log"),
    ):
        pass


UNREADABLE = Path("/proc/self/mem")  # a regular file without an end


@pytest.mark.skipif(not UNREADABLE.exists(), reason="there is no /proc/self/mem")
def test_a_log_that_cannot_be_read_is_not_said_to_be_one_that_cannot_be_written():
    run = RunInfo(model_name="cat", log_file=UNREADABLE, resumed=True)
    with pytest.raises(SaveError, match="mem: cannot be read: "):
        find_end(run)
