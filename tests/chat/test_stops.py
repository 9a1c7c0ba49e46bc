import pytest

from mypt.chat.stops import stop_tokens


@pytest.mark.parametrize(
    ("roles", "ids"),
    [
        (None, ()),
        ({"bos": [0]}, ()),
        ({"eos": [2]}, (2,)),
        ({"turn_end": [3, 4], "eos": [2, 3]}, (3, 4, 2)),
    ],
)
def test_turns_end_answers_before_texts_do(roles, ids):
    assert stop_tokens({"special_tokens": roles}) == ids
