import json
import re
import sys

import jsonschema
import pytest

from mypt.format.errors import ConfigError

SCHEMAS = [
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 6},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "tags": {"type": "array", "items": {"enum": ["ab", "abc", "é"]}, "maxItems": 3},
        },
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    {"enum": ["a", "abc", 1, None, True]},
    {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^[ab]{2,5}$"}]},
    {
        "$defs": {
            "leaf": {
                "type": "object",
                "properties": {"v": {"const": 1}},
                "required": ["v"],
                "additionalProperties": False,
            }
        },
        "type": "object",
        "properties": {"left": {"$ref": "#/$defs/leaf"}, "right": {"$ref": "#/$defs/leaf"}},
        "required": ["left", "right"],
        "additionalProperties": False,
    },
    {"type": "number", "multipleOf": 5, "minimum": -50, "maximum": 50},
    {"type": "string", "format": "date"},
]
REGEXES = ["[0-9]{3}", "(ab|abc){1,3}", "é+…", r"a\.b/\n", "", "[a-c]*x"]
PROMPTS = ["x", "some longer prompt", ""]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: str(schema)[:30])
def test_every_text_under_a_schema_parses_and_validates(model, schema):
    many = [
        *model.generate_many(
            PROMPTS, 120, samples=2, temperature=1.0, top_p=None, seed=5, json_schema=schema
        )
    ]
    for one in many:
        if one.stopped_by is None and one.unfinished:
            assert len(one.ids) == 120
            assert one.unfinished == ("json_schema",)
        else:
            jsonschema.validate(json.loads(one.text), schema)
    assert not all(one.unfinished for one in many)


@pytest.mark.parametrize("pattern", REGEXES)
def test_every_text_under_a_regular_expression_matches_it(model, pattern):
    many = model.generate_many(PROMPTS, 40, temperature=1.0, top_p=None, seed=5, regex=pattern)
    for one in many:
        if one.unfinished:
            assert one.stopped_by is None
            assert len(one.ids) == 40
        else:
            assert re.fullmatch(pattern, one.text)


def test_a_grammar_is_followed(model):
    grammar = 'start: "(" start ")" | item\nitem: /[abc]/'
    for one in model.generate_many(PROMPTS, 60, temperature=1.0, seed=2, grammar=grammar):
        assert re.fullmatch(r"\(*[abc]\)*", one.text)
        assert one.unfinished or one.text.count("(") == one.text.count(")")


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_batch_a_text_alone_and_a_stream_are_the_same(model, use_cache):
    options = {
        "seed": 3,
        "temperature": 1.0,
        "json_schema": SCHEMAS[0],
        "banned_words": ["aa", "9"],
    }
    many = [*model.generate_many(PROMPTS, 60, use_cache=use_cache, **options)]
    for one in many:
        assert model.generate(one.prompt, 60, **options) == one.prompt + one.text
        streamed = model.stream(one.prompt, 60, use_cache=use_cache, **options)
        assert "".join(streamed) == one.text
        assert streamed.unfinished == one.unfinished


def test_an_end_token_ends_a_text_only_where_it_is_complete(pieces):
    end = {pieces.tokenizer.end: 100.0}
    for one in pieces.generate_many(PROMPTS, 40, regex="[0-9]{2,}", logit_bias=end, seed=1):
        assert re.fullmatch("[0-9]{2}", one.text)
        assert one.stopped_by == "<|end|>"
        assert not one.unfinished


def test_without_an_end_token_a_text_ends_where_nothing_can_follow(chars):
    (done,) = chars.generate_many(["x"], 40, regex="[0-9]{2}")
    assert (len(done.text), done.stopped_by, done.unfinished) == (2, "regex", ())
    (whole,) = chars.generate_many(["x"], 40, regex="[0-9]{2,}")
    assert (len(whole.text), whole.stopped_by, whole.unfinished) == (40, None, ())
    (cut,) = chars.generate_many(["x"], 40, regex="[0-9]{2,}x", logit_bias={"x": -100})
    assert (len(cut.text), cut.stopped_by, cut.unfinished) == (40, None, ("regex",))


def test_a_stop_string_and_a_stop_token_of_the_user_still_stop(chars):
    (text,) = chars.generate_many(["x"], 40, regex="[0-9]{2}ab", stop="a", seed=1)
    assert (len(text.text), text.stopped_by, text.unfinished) == (2, "a", ("regex",))
    (token,) = chars.generate_many(["x"], 40, regex="[0-9]{3}[ab]+", stop_tokens="b", seed=1)
    assert token.stopped_by == "b"
    assert token.unfinished == (() if "a" in token.text else ("regex",))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"regex": "["}, "regex: cannot be followed: unclosed character class; correct it"),
        ({"regex": "\udcff"}, "regex: contains half a character "),
        ({"regex": "a(?=b)"}, "regex: cannot be followed: look-around, "),
        ({"json_schema": {"type": "foo"}}, "json_schema: cannot be followed: Invalid type: foo; "),
        ({"json_schema": {"not": {}}}, "json_schema: cannot be followed: Unimplemented keys: "),
        ({"json_schema": {"$ref": "http://a/b"}}, "json_schema: cannot be followed: Resource "),
        ({"json_schema": "{}"}, "json_schema/schema: is "),
        ({"json_schema": {"x-guidance": [1]}}, "json_schema: has an x-guidance that is no object"),
        ({"json_schema": False}, "json_schema: cannot be followed: Unsatisfiable schema"),
        ({"grammar": "start: foo"}, 'grammar: cannot be followed: unknown name: "foo"; '),
        ({"regex": "日"}, "regex: asks after 0 new tokens for a character that this vocabulary "),
        ({"regex": "a", "grammar": 'start: "b"'}, "processors: leave no token that could follow "),
    ],
)
def test_what_cannot_be_followed_is_refused(chars, options, said):
    with pytest.raises(ConfigError) as refused:
        chars.generate("a", 3, **options)
    assert str(refused.value).startswith(said)


def test_without_the_package_one_line_says_what_to_install(monkeypatch, make_anew):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ConfigError) as refused:
        make_anew().generate("a", 3, regex="a")
    assert str(refused.value).endswith("; run: pip install 'mypt-lm[constraints]'")
    assert len(str(refused.value).splitlines()) == 1
