import pytest

from mypt.engine.logging.log_lines import LogOwner, is_event, owner_of, parse_line


def test_a_line_says_whose_it_is():
    owner = LogOwner("dante", "1")
    assert owner_of({"event": "eval", **owner.fields}) == owner
    assert LogOwner("dante", None).fields == {}


@pytest.mark.parametrize(
    "event", [{}, {"run_id": "1"}, {"model_name": "a"}, {"model_name": "a", "run_id": None}]
)
def test_a_line_that_does_not_say_it_has_no_owner(event):
    assert owner_of({"event": "eval", **event}) is None


def test_an_event_behind_an_unfinished_line_is_parsed():
    assert parse_line(b'{"event": "eval", "it{"event": "notice"}\n') == {"event": "notice"}
    assert parse_line(b'{"event": "eval", "it') is None
    assert parse_line(b"[1]") is None
    assert parse_line(b"[" * 100_000) is None


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"event": "training_start"}, True),
        ({"event": "gold_checkpoint_final_eval"}, True),
        ({"iter": 0, "val_loss": 4.5}, True),
        ({"event": "of_a_later_version", "model_name": "a", "run_id": "1"}, True),
        ({"event": "click"}, False),
        ({"event": None}, False),
        ({"messages": []}, False),
        ({"n_layer": 4, "learning_rate": 0.1}, False),
    ],
)
def test_what_mypt_may_have_logged_is_an_event(document, answer):
    assert is_event(document) == answer
