import pytest

from mypt.chat.message import Message
from mypt.engine.inference.chat_messages import list_turns, make_message


def said(*roles):
    return [Message(role=role, content="") for role in roles]


def test_a_mapping_becomes_a_message_with_its_further_fields():
    given = {"role": "assistant", "content": "Hi", "weight": 0.5, "name": "Ann"}
    made = make_message(given)
    assert made == Message(role="assistant", content="Hi", weight=0.5, fields={"name": "Ann"})
    assert make_message(made) is made
    for wrong in ({"role": "user"}, {"role": 1, "content": ""}, "Hi", None):
        with pytest.raises(TypeError):
            make_message(wrong)


def test_a_turn_begins_with_a_question_after_the_system_prompt():
    assert list_turns(said("system", "user", "assistant", "tool", "assistant", "user")) == [1, 5]
    assert list_turns(said("assistant", "user", "assistant")) == [0, 1]
    assert list_turns(said("user", "system", "user")) == [0, 2]
    assert list_turns([]) == [0]
