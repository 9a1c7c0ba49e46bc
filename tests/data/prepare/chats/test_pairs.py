import pytest

from mypt.data.prepare.chats.pairs import read_pair
from mypt.format.errors import DataError

ASKED = [{"role": "user", "content": "Two?"}]


def said(chat):
    return [(turn.role, turn.text, turn.is_learnt) for turn in chat.turns]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ASKED, "chosen": "2", "rejected": "3"},
        {"prompt": "Two?", "chosen": [{"role": "assistant", "content": "2"}], "rejected": "3"},
        {
            "chosen": [*ASKED, {"role": "assistant", "content": "2"}],
            "rejected": [*ASKED, {"role": "assistant", "content": "3"}],
        },
    ],
)
def test_messages_are_read_in_every_form(fields):
    if isinstance(fields.get("prompt"), str):
        fields = {**fields, "rejected": [{"role": "assistant", "content": "3"}]}
    pair = read_pair(fields)
    assert said(pair.chosen) == [("user", "Two?", False), ("assistant", "2", True)]
    assert said(pair.rejected) == [("user", "Two?", False), ("assistant", "3", True)]


def test_texts_are_a_prompt_and_its_completion():
    pair = read_pair({"prompt": "1 + 1 =", "chosen": " 2", "rejected": " 3"})
    assert said(pair.chosen) == [(None, "1 + 1 =", False), (None, " 2", True)]


def test_answers_in_the_prompt_are_not_compared():
    asked = [*ASKED, {"role": "assistant", "content": "2"}, *ASKED]
    pair = read_pair({"prompt": asked, "chosen": "Still 2", "rejected": "3"})
    assert [learnt for _, _, learnt in said(pair.chosen)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("fields", "where", "what"),
    [
        ({"prompt": "a", "chosen": "b"}, "/rejected", "is missing"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "/rejected", "is the chosen answer"),
        ({"chosen": "b", "rejected": "c"}, "/prompt", "is missing"),
        ({"prompt": ASKED, "chosen": 5, "rejected": "c"}, "/chosen", "neither a text nor"),
        ({"prompt": 5, "chosen": [{"role": "assistant", "content": "b"}], "rejected": "c"},
         "/prompt", "neither a text nor"),
        ({"prompt": ASKED, "chosen": [{"role": "nobody", "content": "b"}], "rejected": "c"},
         "/chosen/0/role", "none of"),
        ({"prompt": ASKED, "chosen": ASKED, "rejected": "c"}, "/chosen", "no message by the"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused_where_it_stands(fields, where, what):
    with pytest.raises(DataError) as caught:
        read_pair(fields)
    (problem,) = caught.value.problems
    assert problem.where == where
    assert what in problem.what
