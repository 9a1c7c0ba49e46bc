import numpy as np

from mypt.data.prepare.chats.rendering import RenderedChat
from mypt.data.prepare.chats.statistics import ChatStatistics
from mypt.data.prepare.chats.truncation import FittedChat
from mypt.data.prepare.chats.turns import Chat, Turn


def fitted(*roles, **told):
    turns = tuple(Turn(role=role, text="x", pointer="/text") for role in roles)
    sizes = tuple(range(1, len(turns) + 1))
    made = RenderedChat(np.zeros(9, np.uint32), np.zeros(9, np.float32), sizes)
    return FittedChat(Chat(turns=turns), made, **told)


def test_turns_and_tokens_are_counted_by_role():
    counted = ChatStatistics()
    counted.add(fitted("user", "assistant", turns_left_out=3))
    counted.add(fitted("user", "assistant", "user"))
    counted.add(fitted(None, is_cut=True))
    counted.add(None)
    assert counted.to_document() == {
        "roles": {
            "assistant": {"turns": 2, "tokens": 4},
            "text": {"turns": 1, "tokens": 1},
            "user": {"turns": 3, "tokens": 5},
        },
        "shortened": 1,
        "turns_left_out": 3,
        "cut": 1,
        "left_out": 1,
    }
