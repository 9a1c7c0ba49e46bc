import pytest

from mypt.data.inspection.preview import find_tokenizer, show_conversations
from mypt.format.errors import ConfigError
from tests.support.chats import chat, prepare


@pytest.fixture
def folder(tmp_path, plugins):
    lines = [chat(("user", "a <|endoftext|>"), ("assistant", "b")) for _ in range(3)]
    for number, line in enumerate(lines):
        line["messages"][1] |= {"content": f"b{number}", "weight": 0.5}
    return prepare(tmp_path / "chats", plugins, lines)


def test_stretches_are_learnt_alike_and_special_tokens_stand_alone(folder, plugins):
    shown = [*show_conversations(folder, find_tokenizer(folder, plugins), 2)]
    assert [(one.split, one.number) for one in shown] == [("train", 0), ("train", 1)]
    stretches = [(s.text, s.weight, s.is_special) for s in shown[0].stretches]
    answer = stretches[-2][0]
    assert stretches == [
        ("User: a <|endoftext|>", 0, False),
        ("<|endoftext|>", 0, True),
        ("\nAssistant:", 0, False),
        (answer, 0.5, False),
        ("<|endoftext|>", 0.5, True),
    ]
    assert shown[0].tokens > 10


def test_there_may_be_fewer_than_asked_for(folder, plugins):
    assert len([*show_conversations(folder, find_tokenizer(folder, plugins), 50)]) == 3


def test_a_data_set_without_a_tokenizer_asks_for_a_model(folder, plugins):
    for name in ("tokenizer.json", "tokenizer_state.json"):
        (folder / name).unlink()
    with pytest.raises(ConfigError, match=r"does not say what its ids mean; .* --from_model"):
        find_tokenizer(folder, plugins)


def test_shards_have_no_conversations(folder, plugins):
    tokenizer = find_tokenizer(folder, plugins)
    with pytest.raises(ConfigError, match="holds texts in shards, not conversations"):
        next(show_conversations(folder.parent, tokenizer, 1))
