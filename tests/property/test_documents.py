"""Whatever the schemas accept is read, kept, and written back."""

import string
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.manifest import Manifest
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.rules.documents import document_problems
from mypt.format.schema import strict_json
from mypt.format.schema.check import check_document, load_schema

CLASSES = {
    "config": GPTConfig,
    "tokenizer": TokenizerState,
    "training_state": TrainingState,
    "manifest": Manifest,
}
characters = st.characters(codec="utf-8")
text = st.text(characters, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | text | st.floats(-1e300, 1e300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
# `unknown_` keeps the made-up names apart from those of the schemas.
unknown = st.dictionaries(
    st.text(string.ascii_letters, max_size=5).map("unknown_{}".format), json_values, max_size=2
)


def instances(schema, root):
    """Generate values that a schema accepts, with unknown fields where it allows them."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema:
        return st.one_of([instances(option, root) for option in schema["anyOf"]])
    types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return st.one_of([MAKERS[kind](schema, root) for kind in types])


def integers(schema, _):
    return st.integers(schema.get("minimum", -(2**60)), schema.get("maximum", 2**60))


def numbers(schema, _):
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1e300))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 1e300))
    inside = st.floats(
        low,
        high,
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
    )
    return inside | st.integers(max(int(low), -(10**6)) + 1, 10**6) if high > 1 else inside


def strings(schema, _):
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 8)
    if "pattern" in schema:
        pattern = schema["pattern"].replace("$", r"\Z")
        made = st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
        return made.filter(lambda word: len(word) <= max(longest, 64))
    return st.text(characters, min_size=shortest, max_size=longest)


def arrays(schema, root):
    items = instances(schema["items"], root)
    unique = schema.get("uniqueItems", False)
    return st.lists(items, max_size=5, unique=unique, min_size=schema.get("minItems", 0))


def objects(schema, root):
    required = set(schema.get("required", ()))
    fields = {name: instances(p, root) for name, p in schema.get("properties", {}).items()}
    known = st.fixed_dictionaries(
        {name: field for name, field in fields.items() if name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )
    others = schema.get("additionalProperties")
    if others is None:
        more = unknown if fields else st.dictionaries(text, json_values, max_size=3)
    else:
        names = instances({"type": "string", **schema.get("propertyNames", {})}, root)
        least = schema.get("minProperties", 0)
        more = st.dictionaries(names, instances(others, root), min_size=least, max_size=3)
    return st.builds(lambda a, b: {**b, **a}, known, more)


MAKERS = {
    "null": lambda *_: st.none(),
    "boolean": lambda *_: st.booleans(),
    "integer": integers,
    "number": numbers,
    "string": strings,
    "array": arrays,
    "object": objects,
}


@cache
def documents(kind):
    schema = load_schema(kind)
    made = objects(schema, schema)
    if kind == "tokenizer":  # the schema's `if`
        vocabulary = st.lists(st.text(characters, min_size=1, max_size=1), min_size=1, unique=True)
        made = st.builds(
            lambda document, chars: (
                {**document, "chars": chars} if document["token_kind"] == "char" else document
            ),
            made,
            vocabulary,
        )
    return made


def assert_kept(before, after):
    """All of `before` is in `after`; defaults may have come to it."""
    if isinstance(before, dict):
        assert before.keys() <= after.keys()
        for name, value in before.items():
            assert_kept(value, after[name])
    elif isinstance(before, list) and before and isinstance(before[0], dict):
        assert len(before) == len(after)
        for one, other in zip(before, after, strict=True):
            assert_kept(one, other)
    else:
        assert before == after


@pytest.mark.parametrize("kind", CLASSES)
@settings(max_examples=60)
@given(data=st.data())
def test_a_document_that_its_schema_accepts_is_kept_whole(kind, data):
    document = data.draw(documents(kind))
    problems = check_document(kind, document, "x")
    assert [problem for problem in problems if problem.severity == "error"] == []
    value = from_document(CLASSES[kind], document)
    written = strict_json.dump(to_document(value))
    again = strict_json.parse(written, "x")
    assert_kept(document, again)
    assert from_document(CLASSES[kind], again) == value
    assert strict_json.dump(to_document(from_document(CLASSES[kind], again))) == written
    assert not any(p.severity == "error" for p in check_document(kind, again, "x"))


def not_owned(kind, document):
    """What the schema does not describe: unknown fields, and the sections of plugins."""
    known = load_schema(kind)["properties"].keys() - {"plugins"}
    return {name: value for name, value in document.items() if name not in known}


@pytest.mark.parametrize("kind", CLASSES)
@settings(max_examples=60)
@given(data=st.data())
def test_what_mypt_does_not_own_is_written_back_byte_for_byte(kind, data):
    document = data.draw(documents(kind))
    sections = st.dictionaries(st.sampled_from(["a", "mypt-x"]), st.dictionaries(text, json_values))
    if kind != "manifest":
        document = {**document, "plugins": data.draw(sections)}
    read = strict_json.parse(strict_json.dump(document), "x")
    again = strict_json.parse(
        strict_json.dump(to_document(from_document(CLASSES[kind], read))), "x"
    )
    for name, value in not_owned(kind, document).items():
        assert strict_json.dump({name: value}) == strict_json.dump({name: again[name]})


def test_a_number_keeps_its_value_and_not_its_spelling():
    read = strict_json.parse(b'{"x": [1e5, 1.50, -0.0, 123456789012345678901234567890]}', "x")
    written = b'{ "x": [ 100000.0, 1.5, -0.0, 123456789012345678901234567890 ] }'
    assert strict_json.dump(read).split() == written.split()


@pytest.mark.parametrize("kind", [*CLASSES, "preset"])
@settings(max_examples=60)
@given(data=st.data())
def test_any_document_at_all_gives_problems_and_never_a_crash(kind, data):
    schema = load_schema(kind)
    names = st.sampled_from([*schema["properties"], "other"])
    document = data.draw(st.dictionaries(names, json_values, max_size=6))
    version = data.draw(st.sampled_from([{"format_version": "2.0"}, {}]))
    for problem in document_problems(kind, {**document, **version}, "x.json"):
        assert problem.what
        assert problem.fix
        assert str(problem).startswith("x.json")


@settings(max_examples=100)
@given(value=st.dictionaries(text, json_values))
def test_json_is_read_back_as_it_was_written(value):
    assert strict_json.parse(strict_json.dump(value), "x") == value
