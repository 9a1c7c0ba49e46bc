"""Every form of a line is read as the same turns, and checked and refused by the same rules."""

import json
from pathlib import Path

import pytest

from mypt.data.prepare.chats.forms import read_chat
from mypt.data.prepare.chats.lines import Episode
from mypt.format.errors import DataError

PARTS = [{"type": "text", "text": "How "}, {"type": "text", "text": "are you?"}]
MESSAGES = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "How are you?"},
    {"role": "assistant", "content": "Well."},
]
SAME = {
    "openai": {"messages": MESSAGES},
    "parts": {"messages": [MESSAGES[0], {"role": "user", "content": PARTS}, MESSAGES[2]]},
    "system beside": {"system": "Be kind.", "messages": MESSAGES[1:]},
    "sharegpt": {
        "id": "a7",
        "conversations": [
            {"from": "system", "value": "Be kind."},
            {"from": "human", "value": "How are you?"},
            {"from": "gpt", "value": "Well."},
        ],
    },
    "sharegpt, system beside": {
        "system": "Be kind.",
        "conversations": [
            {"from": "human", "value": PARTS},
            {"from": "assistant", "value": "Well."},
        ],
    },
    "sharegpt in openai's words": {"conversations": MESSAGES, "tools": []},
    "alpaca": {
        "instruction": "How are you?",
        "input": "",
        "output": "Well.",
        "system": "Be kind.",
        "history": [],
    },
}


def chat(*turns, **fields):
    return {"messages": [{"role": role, "content": content} for role, content in turns], **fields}


def said(fields):
    """Who says what, and how much of it is learnt."""
    turns = read_chat(fields).turns
    return [(turn.role, turn.text, turn.learnt_weight) for turn in turns]


def learnt(fields):
    return [turn.text for turn in read_chat(fields).turns if turn.is_learnt]


@pytest.mark.parametrize("form", SAME)
def test_one_conversation_is_one_in_every_form(form):
    assert said(SAME[form]) == said(SAME["openai"])
    assert learnt(SAME[form]) == ["Well."]
    one, other = (Episode(Path("x"), 1, read_chat(SAME[f])) for f in (form, "openai"))
    assert one.digest == other.digest


def test_an_instruction_and_its_input_are_one_message_of_the_user():
    line = {"instruction": "Add.", "input": "1, 2", "output": "3"}
    assert said(line) == said(chat(("user", "Add.\n\n1, 2"), ("assistant", "3")))
    assert said({**line, "input": None}) == said(chat(("user", "Add."), ("assistant", "3")))


def test_a_weight_of_0_masks_that_message_alone():
    line = chat(("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D"))
    for weight in (0, 0.0):
        line["messages"][1]["weight"] = weight
        assert learnt(line) == ["D"]
    line["messages"][3]["weight"] = 1
    assert learnt(line) == ["D"]
    line["messages"][1]["weight"] = None
    assert learnt(line) == ["B", "D"]
    turns = [{"from": "human", "value": "A"}, {"from": "gpt", "value": "B", "weight": 0}]
    turns += [{"from": "gpt", "value": "C"}]
    assert learnt({"conversations": turns}) == ["C"]


def test_a_weight_may_be_a_fraction_and_stand_beside_a_completion():
    line = chat(("user", "A"), ("assistant", "B"))
    line["messages"][1]["weight"] = 0.25
    assert said(line) == [("user", "A", 0), ("assistant", "B", 0.25)]
    assert said({"prompt": "A", "completion": "B", "weight": 0.5}) == [
        (None, "A", 0),
        (None, "B", 0.5),
    ]
    assert said({"instruction": "A", "output": "B", "weight": 0.5})[1][2] == 0.5
    assert said({"text": "A", "weight": 0.5}) == [(None, "A", 0.5)]


def test_calls_of_tools_and_their_results_are_turns():
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    line = {
        "messages": [MESSAGES[1], called, {"role": "tool", "content": "7"}, MESSAGES[2]],
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    found = read_chat(line)
    assert [turn.role for turn in found.turns] == ["user", "assistant", "tool", "assistant"]
    assert found.turns[1].extra["tool_calls"][0]["function"] == {"name": "f", "arguments": {}}
    assert found.turns[1].is_learnt
    assert found.tools == ({"type": "function", "function": {"name": "f"}},)


def test_the_tools_of_sharegpt_are_the_same():
    line = {
        "conversations": [
            {"from": "human", "value": "A"},
            {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
            {"from": "observation", "value": "7"},
            {"from": "gpt", "value": "B"},
        ],
        "tools": '[{"name": "f"}]',
    }
    found = read_chat(line)
    assert [turn.role for turn in found.turns] == ["user", "assistant", "tool", "assistant"]
    [call] = found.turns[1].extra["tool_calls"]
    assert call == {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    assert found.tools == ({"type": "function", "function": {"name": "f"}},)


def test_a_message_by_the_assistant_that_is_not_learnt_may_be_empty():
    line = chat(("assistant", ""), ("user", ""), ("assistant", "B"))
    line["messages"][0]["weight"] = 0
    assert learnt(line) == ["B"]


def test_fields_that_say_nothing_are_passed_over():
    line = chat(("user", "A"), ("assistant", "B"), id=7, tools=None, system="")
    line["messages"][1] |= {"name": "x", "refusal": None, "tool_calls": [], "audio": None}
    assert learnt(line) == ["B"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        (chat(("user", "a"), ("assistant", "")), "/messages/1/content"),
        (chat(("user", "a"), ("assistant", [])), "/messages/1/content"),
        ({"conversations": [{"from": "gpt", "value": ""}]}, "/conversations/0/value"),
        ({"instruction": "a", "output": ""}, "/output"),
        ({"prompt": "a", "completion": ""}, "/completion"),
        ({"text": ""}, "/text"),
    ],
)
def test_nothing_is_nothing_to_learn_in_every_form(fields, pointer):
    assert_refused(fields, pointer, "is empty, so there is nothing to learn")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        (chat(("assistant", "\ud800")), "/messages/0/content"),
        ({"conversations": [{"from": "gpt", "value": "\ud800"}]}, "/conversations/0/value"),
        ({"instruction": "a", "input": "\ud800", "output": "b"}, "/instruction"),
        ({"prompt": "\ud800", "completion": "b"}, "/prompt"),
    ],
)
def test_half_a_character_is_refused_in_every_form(fields, pointer):
    assert_refused(fields, pointer, "contains half a character")


def message(**fields):
    return {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", **fields}]}


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FORMS = "`messages`, `conversations`, `instruction` and `output`, `prompt` and `completion`, or"


@pytest.mark.parametrize(
    ("fields", "pointer", "what"),
    [
        ({}, "", f"needs {FORMS} `text`"),
        ({"chosen": "a", "rejected": "b"}, "", "needs `messages`"),
        ({"text": "a", "prompt": "b"}, "", "has `prompt` and `text`, which are different forms"),
        ({"text": 1}, "/text", "is not a text"),
        ({"prompt": "a"}, "/completion", "is missing"),
        ({"prompt": [{"role": "user"}], "completion": "a"}, "/prompt/0", "is a part that is not"),
        ({"instruction": "a"}, "/output", "is missing"),
        ({"instruction": "a", "input": 1, "output": "b"}, "/input", "is not a text"),
        (
            {"instruction": "a", "output": "b", "history": [["c", "d"]]},
            "/history",
            "holds earlier turns",
        ),
        ({"messages": []}, "/messages", "is not a list of messages"),
        ({"conversations": "a"}, "/conversations", "is not a list of messages"),
        ({"messages": ["a"]}, "/messages/0", "is not a message"),
        ({"messages": [{"role": "user"}]}, "/messages/0/content", "is missing"),
        ({"messages": [{"content": "a"}]}, "/messages/0/role", "is missing, which is none of"),
        (chat(("bot", "a")), "/messages/0/role", "is 'bot', which is none of system, user"),
        (
            {"conversations": [{"from": "function_call", "value": "f()"}]},
            "/conversations/0/value/0",
            "does not name a function",
        ),
        (
            {"messages": [{"role": "user", "content": "a", "tool_calls": [CALL]}]},
            "/messages/0/tool_calls",
            "is of the user, but only the assistant calls tools",
        ),
        (message(content="a", tool_calls="f()"), "/messages/1/tool_calls", "is no list of calls"),
        (chat(("assistant", "a"), tools="f"), "/tools", "is no list of tools"),
        (chat(("assistant", "a"), functions=[{"name": "f"}]), "/functions", "is the earlier name"),
        (chat(("user", "a")), "/messages", "has no message by the assistant with a weight above"),
        (message(content="a", weight=0), "/messages", "has no message by the assistant with a"),
        (message(content="a", weight=1.5), "/messages/1/weight", "is 1.5"),
        (message(content="a", weight=-1), "/messages/1/weight", "is -1"),
        (message(content="a", weight=float("inf")), "/messages/1/weight", "is inf"),
        ({"text": "a", "weight": 2}, "/weight", "is 2"),
        (message(content="a", weight=True), "/messages/1/weight", "is True"),
        (message(content="a", weight="0"), "/messages/1/weight", "is 0"),
        (
            {"messages": [{"role": "user", "content": "a", "weight": 1}]},
            "/messages/0/weight",
            "is 1, but only what the assistant says is learnt",
        ),
        (message(content="a", loss=False), "/messages/1/loss", "is how another program weights"),
        (message(content=None), "/messages/1/content", "is null"),
        (message(content=None, function_call=CALL), "/messages/1/function_call", "is what no"),
        (message(content="a", audio={"id": 1}), "/messages/1/audio", "is what no chat template"),
        (message(content=None, refusal="No."), "/messages/1/content", "is null"),
        (message(content=[PARTS[0], IMAGE]), "/messages/1/content/1", "is a part of type 'image"),
        (message(content=["a"]), "/messages/1/content/0", "is a part that is not text"),
        (message(content=[{"type": "text"}]), "/messages/1/content/0", "is a part of type 'text'"),
        (chat(("assistant", "a"), tools=[7]), "/tools/0", "does not name a function"),
        ({**SAME["openai"], "system": "Be brief."}, "/system", "is a second system message"),
    ],
)
def test_what_has_no_one_meaning_is_refused_where_it_stands(fields, pointer, what):
    assert_refused(fields, pointer, what)


def assert_refused(fields, pointer, what):
    with pytest.raises(DataError) as caught:
        read_chat(json.loads(json.dumps(fields)))
    [problem] = caught.value.problems
    assert (problem.where, problem.kind) == (pointer, "data.chat")
    assert problem.what.startswith(what)
    assert problem.fix
