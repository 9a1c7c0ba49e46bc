import json

import pytest

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "boolean"}},
    "required": ["a"],
    "additionalProperties": False,
}
DEEP, LONG = "[" * 90_000, "1" * 6000


@pytest.fixture
def generate(cli, bundle):
    return lambda *args: cli("generate", bundle, "--prompt", "the ", "--seed", "1", *args)


def test_a_bias_takes_a_token_by_id_or_by_text(generate):
    code, out, _ = generate("--logit_bias", "t=100", "--max_new_tokens", "4")
    assert (code, out) == (0, "the tttt\n")
    code, out, _ = generate("--logit_bias", "0=100", "--max_new_tokens", "2", "--json")
    assert json.loads(out)["ids"] == [0, 0]


def test_banned_words_and_a_regular_expression_go_together(generate):
    code, out, _ = generate("--regex", "(cat|mat|sat){2}", "--banned_words", "ts", "--json",
                            "--banned_words", "tc")  # fmt: skip
    assert code == 0
    assert json.loads(out)["text"][3:] == "mat"
    assert json.loads(out)["stopped_by"] == "regex"


def test_a_grammar_is_read_from_a_file(generate, in_tmp):
    (in_tmp / "g.lark").write_text('start: "cat" | "mat"')
    assert generate("--grammar", "g.lark")[1] in ("the cat\n", "the mat\n")


def test_further_processors_are_given_as_json(generate):
    options = json.dumps({"regex": {"pattern": "cat"}})
    assert generate("--processors", options)[1] == "the cat\n"


def test_a_text_that_is_cut_is_said_to_be_unfinished(generate):
    code, out, err = generate("--regex", "cat on", "--max_new_tokens", "3")
    assert (code, out) == (0, "the cat\n")
    assert err.startswith("note: the text ends before regex is complete; raise --max_new_tokens")
    _, out, _ = generate("--regex", "cat on", "--max_new_tokens", "3", "--json")
    assert json.loads(out)["unfinished"] == ["regex"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--logit_bias", "t"], "error: --logit_bias t is not a token and a number; write it as"),
        (["--logit_bias", "t=x"], "error: --logit_bias t=x is not a token and a number; "),
        (["--logit_bias", "t=1", "--logit_bias", "t=2"], "error: --logit_bias names the token t"),
        (["--logit_bias", "the cat=1"], "error: --logit_bias/the cat: is not one token but 7"),
        (["--regex", "("], "error: --regex: cannot be followed: unclosed group; "),
        (["--json_schema", '{"a'], "error: --json_schema: is not JSON: "),
        (["--json_schema", "no.json"], "error: no.json: there is no such file"),
        (["--processors", '{"nope": {}}'], "error: no plugin offers the logit processor `nope`"),
        (["--processors", "[1]"], "error: --processors: is [1]; make it "),
        pytest.param(
            ["--json_schema", '{"a":' + DEEP], "error: --json_schema: is not JSON: ", id="deep"
        ),
        pytest.param(["--processors", DEEP], "error: Invalid value for '--pro", id="deep_options"),
        pytest.param(["--logit_bias", f"{LONG}=1"], "error: --logit_bias/111", id="long_bias"),
        pytest.param(["--stop_token", LONG], "error: --stop_token: ", id="long_stop"),
    ],
)
def test_what_is_wrong_is_one_line(cli, bundle, args, said, in_tmp):
    code, _, err = cli("generate", bundle, *args)
    assert code in (1, 2)
    assert err.startswith(said)
    assert err.count("\n") == 1
