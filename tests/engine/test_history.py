from mypt.engine.history import History, begin_or_continue
from mypt.format.documents.training import GoldMemory, TrainingState

STATE = TrainingState(step=3, run_id="a" * 32, gold=GoldMemory(best_step=2))


def test_a_model_that_was_never_trained_is_at_step_0():
    assert History().step == 0
    assert History().state_in(None) is None


def test_gold_is_remembered_where_its_copy_lies(tmp_path):
    history = History(state=STATE, path=tmp_path / "m")
    assert history.state_in(tmp_path / "m") is history.state_in(None) is STATE
    elsewhere = history.state_in(tmp_path / "n")
    assert (elsewhere.step, elsewhere.run_id, elsewhere.gold) == (3, STATE.run_id, None)


def test_a_run_keeps_its_name_and_a_copy_or_a_nameless_one_gets_another():
    assert begin_or_continue(STATE) is STATE
    copy = TrainingState(step=3, run_id="a" * 32, copy_of="m")
    names = {begin_or_continue(state).run_id for state in (copy, copy, TrainingState(step=3))}
    assert len(names) == 3
    assert "a" * 32 not in names
    assert begin_or_continue(copy).copy_of is None
