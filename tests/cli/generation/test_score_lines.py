import io
import json
import sys

import pytest

import mypt

LINES = [
    {"prompt": "the cat ", "continuation": "sat"},
    {"text": "the cat sat on the mat"},
    {"prompt": "", "continuation": "line"},
]


@pytest.fixture
def score(cli, bundle, in_tmp):
    def run(lines, *args):
        text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        (in_tmp / "in.jsonl").write_text(text)
        return cli("generate", bundle, "--score_lines", "in.jsonl", *args)

    return run


def test_each_line_is_answered_in_order(score, bundle):
    code, out, _ = score(LINES)
    assert code == 0
    model = mypt.load(bundle)
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["line"] for answer in answers] == [1, 2, 3]
    (first,) = model.score_continuations([("the cat ", "sat")])
    assert answers[0]["log_likelihood"] == pytest.approx(first.log_likelihood, abs=1e-5)
    assert answers[0]["bits_per_byte"] == pytest.approx(first.bits_per_byte, abs=1e-5)
    assert answers[0]["is_greedy"] == first.is_greedy
    assert answers[0]["tokens"] == 3
    whole = model.score("the cat sat on the mat")
    assert answers[1]["log_likelihood"] == pytest.approx(-sum(whole.losses), abs=1e-4)
    assert answers[1]["bits_per_byte"] == pytest.approx(whole.bits_per_byte, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_of_a_list_the_likeliest_is_named(score, batch_size):
    choices = {"prompt": "the cat sat on the ", "continuation": ["nnn", "mat", "::"]}
    code, out, _ = score([choices, choices], "--batch_size", batch_size, "--probabilities")
    assert code == 0
    for line, answer in enumerate(map(json.loads, out.splitlines()), start=1):
        assert (answer["line"], answer["best"]) == (line, 1)
        found = answer["continuations"]
        assert [one["texts"] for one in found] == [["n"] * 3, ["m", "a", "t"], [":"] * 2]
        assert all(len(one["probabilities"]) == len(one["ids"]) == one["tokens"] for one in found)


def test_standard_input_is_read(cli, bundle, monkeypatch):
    given = io.TextIOWrapper(io.BytesIO(json.dumps(LINES[0]).encode()))
    monkeypatch.setattr(sys, "stdin", given)
    code, out, _ = cli("generate", bundle, "--score_lines", "-")
    assert (code, json.loads(out)["line"]) == (0, 1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{\n", "in.jsonl line 2: is not JSON: "),
        ("[1]\n", "in.jsonl line 2: is not a JSON object; write an object with "),
        ("[" * 100_000, "in.jsonl line 2: is nested too deeply; write an object with "),
        ('{"text": "a", "text": "b"}', "in.jsonl line 2: has the key 'text' twice in one object; "),
        ('{"text": "the cat \\ud800"}', "in.jsonl line 2: escapes half a character "),
        ({"prompt": "a"}, "in.jsonl line 2: is not what can be scored; "),
        ({"prompt": 1, "continuation": "a"}, "in.jsonl line 2: is not what can be scored; "),
        ({"prompt": "a", "continuation": []}, "in.jsonl line 2: is not what can be scored; "),
        ({"prompt": "a", "continuation": ""}, "in.jsonl line 2, continuation: is empty; "),
        ({"text": "a"}, "in.jsonl line 2, text: is too short to score; "),
        ({"prompt": "t", "continuation": "é"}, "in.jsonl line 2, column 2: the vocabulary of "),
    ],
)
def test_what_is_wrong_names_its_line(score, line, said):
    code, out, err = score([LINES[0], line], "--batch_size", "1")
    assert code == 1
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert json.loads(out)["line"] == 1  # what stands before is answered


def test_empty_lines_and_a_byte_order_mark_are_passed_over(score):
    code, out, err = score(["\ufeff", LINES[0], "\n", " \n", LINES[1], "\n"])
    assert (code, err) == (0, "")
    assert [json.loads(line)["line"] for line in out.splitlines()] == [1, 4]


def test_a_file_that_is_not_there_is_told_so(refused, bundle, in_tmp):
    line = refused("generate", bundle, "--score_lines", "no.jsonl")
    assert line.startswith("error: no.jsonl: cannot be read: No such file or directory; ")
