import json

import pytest

from mypt.chat.message import Message
from mypt.cli.conversation.files import load_messages, save_messages
from mypt.format.errors import DataError, SaveError

TALK = (
    Message(role="system", content="Be kind."),
    Message(role="user", content="Hi\n\u2028 \x1b[31m ö"),
    Message(role="assistant", content="", weight=0.0, fields={"name": "x"}),
)


def never(_):
    raise AssertionError


def test_a_conversation_comes_back_as_it_was(tmp_path):
    path = tmp_path / "chat.jsonl"
    data = save_messages(path, TALK, None, never)
    assert load_messages(path) == (TALK, data)
    assert path.read_bytes().count(b"\n") == 1
    assert json.loads(data)["messages"][0] == {"role": "system", "content": "Be kind."}


def test_only_its_own_file_is_replaced_without_asking(tmp_path):
    path = tmp_path / "chat.jsonl"
    path.write_bytes(b"a poem\n")
    with pytest.raises(SaveError, match="exists"):
        save_messages(path, TALK, None, lambda _: False)
    assert path.read_bytes() == b"a poem\n"
    data = save_messages(path, TALK, None, lambda file: file == str(path))
    assert path.read_bytes() == save_messages(path, TALK, data, never)
    path.write_bytes(data + b"more\n")
    with pytest.raises(SaveError, match="exists"):
        save_messages(path, TALK, data, lambda _: False)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"", "is no line of"),
        (b'{"messages": []}\n{"messages": []}\n', "has 2 conversations"),
        (b'{"text": "Hi"}', "is no line of"),
        (b'{"messages": [{"role": "user"}]}', "is no line of"),
        (b'{"messages": [{"role": "user", "content": ["Hi"]}]}', "is no line of"),
        (b'{"messages": ["Hi"]}', "is no line of"),
        (b'{"messages": 1}', "is no line of"),
        (b'{"messages": ' + b"[" * 100_000, "is no line of"),
    ],
)
def test_what_is_no_conversation_is_refused(tmp_path, data, what):
    path = tmp_path / "chat.jsonl"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=what):
        load_messages(path)


@pytest.mark.parametrize("name", ["circle", "folder"])
def test_what_is_no_file_is_never_read_and_stays(tmp_path, name):
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SaveError, match="exists"):
        save_messages(tmp_path / name, TALK, b"", lambda _: False)
    if name == "folder":
        with pytest.raises(SaveError, match="could not be written"):
            save_messages(tmp_path / name, TALK, b"", lambda _: True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circle", "folder"]
