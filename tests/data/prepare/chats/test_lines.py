import json

import pytest

from mypt.data.prepare.chats.lines import Episode, read_chat_lines
from mypt.format.errors import DataError, Problem

GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]}


@pytest.fixture
def read(tmp_path):
    def call(*lines):
        file = tmp_path / "chats.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_bytes("\n".join(texts).encode())
        return list(read_chat_lines([file]))

    return call


def test_every_line_is_an_episode_or_a_problem_and_empty_ones_are_neither(read, tmp_path):
    found = read(GOOD, "", "{", "[1]", '{"messages": [{"role": "user", "content": null}]}', " ")
    assert [type(one) for one in found] == [Episode, Problem, Problem, Problem]
    assert [str(one).partition(";")[0] for one in found[1:]] == [
        f"{tmp_path / 'chats.jsonl'} line 3: is not JSON",
        f"{tmp_path / 'chats.jsonl'} line 4: is not a JSON object",
        f"{tmp_path / 'chats.jsonl'} line 5#/messages/0/content: is null",
    ]


def test_bytes_that_are_no_text_are_refused_by_line(tmp_path):
    file = tmp_path / "chats.jsonl"
    file.write_bytes(b'{"text": "a b"}\n{"text": "\xff"}\n')
    _, problem = read_chat_lines([file])
    assert (problem.where, problem.what) == ("line 2", "is not UTF-8")


def test_a_file_in_utf_16_is_named_with_the_command_that_converts_it(tmp_path):
    file = tmp_path / "chats.jsonl"
    for encoding in ("utf-16-le", "utf-16"):
        file.write_bytes((json.dumps(GOOD) + "\n").encode(encoding))
        with pytest.raises(DataError, match=r"chats\.jsonl: .*UTF-16.*convert it: iconv -f UTF-16"):
            list(read_chat_lines([file]))


def test_a_nul_character_is_refused_where_it_stands(read):
    [problem] = read({"prompt": "a", "completion": "b\0c"})
    assert problem.where == "line 1#/completion"
    assert problem.what == "contains a NUL character (\\u0000), which no text has"


@pytest.mark.parametrize("text", ["[\n {", '\ufeff [{"instruction": "a", "output": "b"}]'])
def test_a_file_that_is_one_array_is_named_as_such_once(read, tmp_path, text):
    [problem] = read(text, "  }, {", "  }", "]")
    assert (problem.file, problem.where) == (str(tmp_path / "chats.jsonl"), "")
    assert problem.what.startswith("is one JSON array instead of lines")
    assert "jq -c '.[]'" in problem.fix


def test_a_byte_order_mark_is_no_text(read):
    [episode] = read("\ufeff" + json.dumps(GOOD))
    assert episode.chat.turns[0].text == "Hi"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: cannot be read"):
        list(read_chat_lines([tmp_path / "nowhere"]))
