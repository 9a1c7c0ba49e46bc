import pytest

from mypt.chat.message import Message
from mypt.engine.inference.chat_messages import list_questions, make_message


def test_a_mapping_becomes_a_message_with_its_further_fields():
    given = {"role": "assistant", "content": "Hi", "weight": 0.5, "name": "Ann"}
    made = make_message(given)
    assert made == Message(role="assistant", content="Hi", weight=0.5, fields={"name": "Ann"})
    assert make_message(made) is made
    for wrong in ({"role": "user"}, {"role": 1, "content": ""}, "Hi", None):
        with pytest.raises(TypeError):
            make_message(wrong)


def test_the_user_asks_questions():
    roles = ("system", "user", "assistant", "tool", "user")
    assert list_questions([Message(role=role, content="") for role in roles]) == [1, 4]
