import pytest

from mypt.chat.message import Message
from mypt.data.prepare.chats.turns import Chat, Turn, check_turns, identify
from mypt.format.errors import DataError


def say(role, text="x", **fields):
    return Turn(role=role, text=text, pointer=f"/{role}", **fields)


@pytest.mark.parametrize(
    ("turn", "weight"),
    [
        (say("assistant"), 1),
        (say("assistant", weight=0.0), 0),
        (say("user"), 0),
        (say("user", weight=0.5), 0.5),
        (say(None), 1),
    ],
)
def test_what_the_assistant_says_is_learnt_unless_it_has_a_weight(turn, weight):
    assert (turn.learnt_weight, turn.is_learnt) == (weight, weight > 0)


def test_a_template_reads_the_other_fields_of_a_message_but_its_weight():
    turn = say("assistant", weight=0.5, extra={"weight": 0.5, "name": "Ann", "refusal": None})
    wanted = Message(role="assistant", content="x", weight=0.5, fields={"name": "Ann"})
    assert turn.message == wanted


@pytest.mark.parametrize(
    ("turns", "where", "what"),
    [
        ([say("user")], "/all", "has no message by the assistant"),
        ([say("assistant", "")], "/assistant", "is empty"),
        ([say("assistant"), say("user", "\0")], "/user", "contains a NUL character"),
        ([say("assistant", "\ud800")], "/assistant", "contains half a character"),
    ],
)
def test_what_cannot_be_learnt_from_names_its_place(turns, where, what):
    check_turns([say("user", ""), say("assistant")], "/all")
    check_turns([say("assistant", "", extra={"tool_calls": [{}]})], "/all")
    with pytest.raises(DataError, match=what) as caught:
        check_turns(turns, "/all")
    assert [one.where for one in caught.value.problems] == [where]


def test_conversations_are_the_same_whatever_form_they_were_read_from():
    said = say("user"), say("assistant")
    moved = tuple(Turn(role=one.role, text=one.text, pointer="/elsewhere") for one in said)
    assert identify(Chat(turns=said)) == identify(Chat(turns=moved))
    assert identify(Chat(turns=said)) != identify(Chat(turns=said, tools=({"name": "f"},)))
    assert identify(Chat(turns=(say(None, "words"),))) == {"None": "words"}
