import pytest

from mypt.engine.logging.jsonl import JsonlSink
from mypt.engine.logging.log_file import LogEnd
from mypt.engine.logging.log_lines import LogOwner
from mypt.format.errors import SaveError
from tests.support.events import eval_event, one_update, read_lines, step_event

OWNER, NEW = LogOwner("dante", "1"), LogEnd()


def write(path, *emitted, end=NEW, owner=OWNER):
    sink = JsonlSink(path, owner, end)
    for event in emitted:
        sink.emit(event.to_json())
    sink.close()


def test_the_log_has_a_line_per_event_and_none_per_step(tmp_path):
    path = tmp_path / "logs" / "run.jsonl"
    write(path, eval_event(0), one_update(1, 10), eval_event(10))
    assert [line["iter"] for line in read_lines(path)] == [0, 10]


def test_each_line_says_whose_it_is(tmp_path):
    write(tmp_path / "log", eval_event(0))
    write(tmp_path / "log", eval_event(0), owner=LogOwner("virgil", None))
    first, second = read_lines(tmp_path / "log")
    assert (first["model_name"], first["run_id"]) == ("dante", "1")
    assert not {"model_name", "run_id"} & second.keys()


def test_a_loss_that_is_not_finite_is_null_in_the_log(tmp_path):
    write(tmp_path / "log", eval_event(0, val=float("nan")))
    assert read_lines(tmp_path / "log")[0]["val_loss"] is None


def test_what_comes_after_the_end_is_removed_and_an_open_line_is_finished(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    write(path, end=LogEnd(size_bytes=8, lines=1))
    assert path.read_text() == '{"a": 1}'
    write(path, eval_event(0), eval_event(10), end=LogEnd(size_bytes=8, is_open=True))
    assert [line.get("a", line.get("iter")) for line in read_lines(path)] == [1, 0, 10]


def test_a_log_that_nothing_is_emitted_to_is_left_as_it_was(tmp_path):
    write(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "log").write_text('{"a": 1}')
    write(tmp_path / "log", end=LogEnd(size_bytes=8, is_open=True))
    assert (tmp_path / "log").read_text() == '{"a": 1}'


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="could not be written"):
        write(tmp_path / "file" / "log", eval_event(0))
    with pytest.raises(SaveError, match="could not be written"):
        write(tmp_path / "gone", end=LogEnd(lines=1))


def test_a_line_that_is_kept_follows_what_stays(tmp_path):
    path = tmp_path / "log"
    path.write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n')
    write(path, eval_event(10), end=LogEnd(size_bytes=9, kept=b'{"a": 3}\n', lines=1))
    assert [line.get("a", line.get("iter")) for line in read_lines(path)] == [1, 3, 10]


def test_steps_are_on_disk_once_a_save_asks_for_the_state(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("mypt.engine.logging.jsonl.sync_file", synced.append)
    sink = JsonlSink(tmp_path / "log", OWNER, NEW)
    sink.emit(step_event(10).to_json())
    assert synced == []  # no update waits for the disk
    assert sink.state() == {}
    assert len(synced) == 1
    sink.emit(eval_event(10).to_json())
    assert len(synced) == 2
    sink.close()
