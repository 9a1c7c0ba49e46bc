"""Each line is a document; what is none is named by file and line."""

import json

import pytest

from mypt.data.input_files import read_input
from mypt.data.sources.choice import SourceChoice
from mypt.data.sources.input_source import InputSource
from mypt.data.sources.json_lines import JSON_LINES
from mypt.format.errors import DataError
from mypt.testing import check_data_source


def documents(path, **options):
    text = read_input([str(path)], SourceChoice(options=options))
    return ["".join(pieces) for pieces in text.documents()]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.jsonl"


def test_it_keeps_its_contract(file):
    file.write_text('{"text": "one"}\n\n{"text": "two\\n", "n": 1.5}\n{"text": ""}\n')
    assert check_data_source(JSON_LINES, file) == ["one", "two\n"]


def test_lines_of_every_kind_are_read(file):
    file.write_bytes(b'\xef\xbb\xbf{"text": "a"}\r\n \r\n{"text": "\\ud83d\\ude00"}\n{"text":"c"}')
    assert documents(file) == ["a", "😀", "c"]


def test_the_field_is_an_option(file):
    file.write_text(json.dumps({"body": "b", "text": "t"}))
    assert documents(file) == ["t"]
    assert documents(file, field="body") == ["b"]


def test_a_long_line_is_a_document(file):
    long = "word " * 700_000
    file.write_text(json.dumps({"text": long}) + "\n" + json.dumps({"text": "short"}))
    assert documents(file) == [long, "short"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"not json", "is not a JSON object"),
        (b'{"text": "a"', "is not JSON: Expecting"),
        (b'{"text": "a\tb"}', "is not JSON: Invalid control character at column 12"),
        (b'"text"', "is not a JSON object"),
        (b"5", "is not a JSON object"),
        (b'{"body": "a", "n": 1}', "has no field `text`; it has: body, n; name the field"),
        (b"{}", "has no field `text`; it has: none"),
        (b'{"messages": []}', "prepare conversations with `mypt data chats`"),
        (b'{"text": 5}', "has a field `text` that is a number, not a string"),
        (b'{"text": null}', "that is null"),
        (b'{"text": true}', "that is a boolean"),
        (b'{"text": ["a"]}', "that is an array"),
        (b'{"text": {}}', "that is an object"),
        (b'{"text": "a", "text": "b"}', "has the key 'text' twice in one object"),
        (b'{"text": "\\ud800"}', "half a character"),
        (b'{"text": "\xff"}', "is not UTF-8"),
        (b'{"text": "a", "n": NaN}', "contains NaN"),
        (b'{"text": "a"} {"text": "b"}', "is not JSON: Extra data"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"text": ' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper than 64 levels"),
    ],
)
def test_a_wrong_line_is_named(file, line, what):
    file.write_bytes(b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(DataError) as caught:
        documents(file)
    message = str(caught.value)
    assert message.startswith(f"{file} line 2: ")
    assert what in message
    assert "\n" not in message


def test_a_list_and_another_encoding_are_named(file):
    file.write_text('[{"text": "a"}]')
    with pytest.raises(DataError, match=r"line 1: begins a JSON array.*jq -c"):
        documents(file)
    file.write_text('{"text": "a"}', encoding="utf-16")
    with pytest.raises(DataError, match="line 1: is UTF-16"):
        documents(file)


def test_a_line_without_end_is_refused_before_memory_is_full(tmp_path):
    file = tmp_path / "a.jsonl"
    with file.open("wb") as stream:
        stream.truncate(1 << 30)  # zeros that take no room on the disk
    with pytest.raises(DataError, match="line 1: is not a JSON object"):
        documents(file)
    file.write_bytes(b'{"text": "' + b"a" * (49 << 20))
    with pytest.raises(DataError, match="line 1: is longer than 48 MiB"):
        documents(file)


def test_a_file_without_documents_is_refused_where_it_was_named(file, tmp_path):
    file.write_text("\n\n")
    with pytest.raises(DataError, match="contains no text"):
        documents(file)
    (tmp_path / "b.txt").write_text("text")
    assert documents(tmp_path) == ["text"]


def test_names_decide_whatever_their_case(tmp_path):
    for name, is_it in [("a.JSONL", True), ("b.ndjson", True), ("c.json", False), ("d", False)]:
        (tmp_path / name).write_text('{"text": "a"}')
        assert JSON_LINES.recognises(InputSource(tmp_path / name)) is is_it
