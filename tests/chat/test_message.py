import pytest

from mypt.chat.message import count_leading, list_turns


@pytest.mark.parametrize(
    ("said", "leading", "turns"),
    [
        ("", 0, [0]),
        ("s", 1, [1]),
        ("uaua", 0, [0, 2]),
        ("suaua", 1, [1, 3]),
        ("ssuau", 2, [2, 4]),
        ("uuauua", 0, [0, 3]),
        ("auau", 0, [0, 1, 3]),
        ("uatau", 0, [0, 4]),
        ("uasu", 0, [0, 3]),
    ],
)
def test_turns_begin_with_questions_of_one_message_or_several(said, leading, turns):
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    roles = [names[one] for one in said]
    assert (count_leading(roles), list_turns(roles)) == (leading, turns)
