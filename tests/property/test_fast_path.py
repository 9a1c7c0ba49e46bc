"""What the quick test accepts, jsonschema accepts too: it never lets a bad document pass."""

import copy

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mypt.format.schema.check import load_schema
from mypt.format.schema.fast_path import make_test

RECORD = {"size_bytes": 1, "sha256": "0" * 64}
NEEDED = {"version": "1.0", "needed_for": ["read", "train"]}
CONFIG = {"block_size": 8, "vocab_size": 5, "n_embd": 4, "n_head": 2, "n_layer": 1, "dropout": 0.5}
WELL = {
    "config": {**CONFIG, "device": None, "plugins": {"a-b": {"x": 1}}},
    "tokenizer": {"token_kind": "char", "chars": ["a", "b"], "special_token_encoder": {"<x>": 3}},
    "training_state": {
        "step": 3,
        "training_config": {"max_iters": 5, "amp_dtype": "bf16", "gold_guards": {}},
        "data": {"source": "x", "sha256": "0" * 64, "train_tokens": 1, "val_tokens": 0},
        "gold": {"best_val_loss": 1.5, "best_step": 1, "guards": {}},
        "inexact_reasons": ["a"],
    },
    "manifest": {"generation": 1, "files": {"a": RECORD}, "plugins": {"p": NEEDED}},
    "preset": {**CONFIG, "name": "x"},
}
values = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10**17)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "a", "char", "gpt2", "A", "../x", "0" * 64, "2.0", "3.0", "a\n"])
    | st.lists(st.sampled_from(["a", "b", "bb", 1]), max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b/c", "n_layer", ""]), st.integers(-1, 1), max_size=2)
)


def places(value, path=()):
    """Name every place inside a document, and one more in each object."""
    yield path
    if isinstance(value, dict):
        yield (*path, "newer")
        for name, inner in value.items():
            yield from places(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def changed(document, path, value):
    """Put a value in a place of a copy; the place of all is left as it is."""
    whole = copy.deepcopy(document)
    inner = whole
    for part in path[:-1]:
        inner = inner[part]
    if path:
        inner[path[-1]] = value
    return whole


@pytest.mark.parametrize("kind", WELL)
@settings(max_examples=150)
@given(data=st.data())
def test_what_is_accepted_is_valid(kind, data):
    schema = load_schema(kind)
    document = WELL[kind] if kind == "preset" else {"format_version": "2.0", **WELL[kind]}
    for path in data.draw(st.lists(st.sampled_from(list(places(document))), max_size=2)):
        try:
            document = changed(document, path, data.draw(values))
        except (KeyError, IndexError, TypeError):  # the place went with the first change
            continue
    if make_test(schema, schema)(document):
        jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize("kind", WELL)
def test_a_document_as_mypt_writes_it_needs_no_schema_library(kind):
    schema = load_schema(kind)
    document = WELL[kind] if kind == "preset" else {"format_version": "2.0", **WELL[kind]}
    jsonschema.Draft202012Validator(schema).validate(document)
    assert make_test(schema, schema)(document)


def test_a_keyword_that_it_does_not_know_is_left_to_jsonschema():
    assert not make_test({"type": "integer", "multipleOf": 2}, {})(4)
