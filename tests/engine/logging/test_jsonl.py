import pytest

from mypt.engine.logging import events
from mypt.engine.logging.jsonl import JsonlSink, drop_after
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import SaveError
from tests.support.events import TRAINING, complete_event, eval_event, one_step, read_lines


def write(path, resumed, start_step, *emitted):
    sink = JsonlSink(path)
    if resumed:
        sink.resume(start_step, start_step)
    for event in emitted:
        sink.emit(event.to_json())
    sink.close()


def test_the_log_has_a_line_per_event_and_none_per_step(tmp_path):
    path = tmp_path / "logs" / "run.jsonl"
    write(path, False, 0, eval_event(0), one_step(1, 10), eval_event(10))
    assert [line["iter"] for line in read_lines(path)] == [0, 10]


def test_a_loss_that_is_not_finite_is_null_in_the_log(tmp_path):
    write(tmp_path / "log", False, 0, eval_event(0, val=float("nan")))
    assert read_lines(tmp_path / "log")[0]["val_loss"] is None


def test_a_resumed_run_drops_what_it_will_do_again(tmp_path):
    path = tmp_path / "log"
    write(path, False, 0, eval_event(0), eval_event(100), eval_event(200))
    with path.open("a") as stream:
        stream.write('{"event": "eval", "iter": 3')  # killed inside a line
    write(path, True, 100, eval_event(200), eval_event(300))
    assert [line["iter"] for line in read_lines(path)] == [0, 100, 200, 300]


def test_what_is_told_at_the_step_of_a_resume_is_kept_if_it_is_not_done_again(tmp_path):
    path = tmp_path / "log"
    switch = events.PhaseSwitch(iter=100, elapsed_s=1.0, tokens_processed=1, new_phase="b")
    stopped, said = events.Interrupted(iter=101, folder="x"), events.Notice(message="something")
    write(path, False, 0, eval_event(50), eval_event(100), switch, said, stopped)
    kept = path.read_bytes()
    drop_after(path, 101, 100)
    assert path.read_bytes() == kept
    drop_after(path, 100, 100)  # the next update tells of the phase again
    assert [line["event"] for line in read_lines(path)] == ["eval", "eval"]
    drop_after(path, 100, 50)  # stopped in the evaluation of step 100
    assert [line["iter"] for line in read_lines(path)] == [50]


def test_what_another_run_told_before_is_kept(tmp_path):
    path = tmp_path / "log"
    begin = events.training_start(GPTConfig(), TRAINING, 10)
    write(path, False, 0, begin, eval_event(900), begin, eval_event(0), eval_event(100), begin)
    drop_after(path, 50, 0)
    assert [line.get("iter") for line in read_lines(path)] == [None, 900, None, 0]


def test_a_run_that_was_killed_before_its_first_save_is_told_of_once(tmp_path):
    path = tmp_path / "log"
    begin = events.training_start(GPTConfig(), TRAINING, 10)
    write(path, False, 0, begin, eval_event(0), begin)
    with path.open("a") as stream:
        stream.write('{"event": "eval", "iter": 0')
    begin_anew(path)
    assert [line["event"] for line in read_lines(path)] == ["training_start"]


@pytest.mark.parametrize(
    "last", [events.Interrupted(iter=0, folder="m"), complete_event(), eval_event(100)]
)
def test_a_new_run_leaves_the_log_of_one_that_saved_alone(tmp_path, last):
    path = tmp_path / "log"
    write(path, False, 0, eval_event(0), last)
    kept = path.read_bytes()
    with path.open("a") as stream:
        stream.write('{"event": "ev')
    begin_anew(path)
    assert path.read_bytes() == kept


def test_lines_of_others_are_left_alone(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"iter": "many"}\n[1]\nnot JSON\n{"iter": null}\n')
    kept = path.read_bytes()
    drop_after(path, 0, 0)
    begin_anew(path)
    assert path.read_bytes() == kept


def begin_anew(path):
    sink = JsonlSink(path)
    sink.start_over()
    sink.close()


def test_a_new_run_leaves_an_older_log_of_that_name_alone(tmp_path):
    path = tmp_path / "log"
    write(path, False, 0, eval_event(100))
    write(path, False, 0, eval_event(0))
    assert [line["iter"] for line in read_lines(path)] == [100, 0]


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="cannot be written"):
        write(tmp_path / "file" / "log", False, 0, eval_event(0))
