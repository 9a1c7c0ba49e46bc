"""The classes and the schemas say the same: names, types, defaults, what is required."""

import types
import typing
from collections.abc import Mapping

import attrs
import pytest

from mypt.format.documents.config import DERIVED, OPTIONAL, GPTConfig
from mypt.format.documents.config_parts.rope_scaling import RopeScaling
from mypt.format.documents.convert import field_names, from_document, to_document
from mypt.format.documents.manifest import FileRecord, Manifest
from mypt.format.documents.provenance import GitState, Provenance
from mypt.format.documents.shards import ShardsRecord
from mypt.format.documents.special_tokens import SpecialTokens
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import (
    Ancestor,
    DataFingerprint,
    Decision,
    Environment,
    EpochPlace,
    GoldMemory,
    Phase,
    TrainingConfig,
    TrainingState,
)
from mypt.format.schema.check import load_schema

STATE = load_schema("training_state")
TRAINING = STATE["$defs"]["training_config"]
PAIRS = {
    "config": (GPTConfig, load_schema("config")),
    "rope_scaling": (RopeScaling, load_schema("config")["properties"]["rope_scaling"]),
    "tokenizer": (TokenizerState, load_schema("tokenizer")),
    "special_tokens": (SpecialTokens, load_schema("tokenizer")["properties"]["special_tokens"]),
    "training_state": (TrainingState, STATE),
    "training_config": (TrainingConfig, TRAINING),
    "phase": (Phase, TRAINING["properties"]["curriculum"]["items"]),
    "lineage": (Ancestor, STATE["properties"]["lineage"]["items"]),
    "environment": (Environment, STATE["properties"]["environment"]),
    "provenance": (Provenance, STATE["properties"]["provenance"]),
    "earlier_runs": (Provenance, STATE["properties"]["earlier_runs"]["items"]),
    "git": (GitState, STATE["properties"]["provenance"]["properties"]["git"]),
    "decision": (Decision, STATE["properties"]["gold"]["properties"]["decision"]),
    "data": (DataFingerprint, STATE["properties"]["data"]),
    "epoch": (EpochPlace, STATE["properties"]["epoch"]),
    "gold": (GoldMemory, STATE["properties"]["gold"]),
    "manifest": (Manifest, load_schema("manifest")),
    "shards": (ShardsRecord, load_schema("shards")),
    "file": (FileRecord, load_schema("manifest")["properties"]["files"]["additionalProperties"]),
}
JSON_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string", type(None): "null"}
# Written always, so that a reader in another language need not know what they default to.
ALWAYS_WRITTEN = {"block_size", "vocab_size", "n_embd", "n_head", "n_layer"} | {
    "best_val_loss",
    "best_step",
    "guards",
}


def fields_of(cls):
    fields = attrs.fields_dict(attrs.resolve_types(cls))
    return {name: fields[name] for name in field_names(cls)}


def properties_of(schema):
    """What mypt itself uses; the deprecated fields of MyPT are only kept, in `extra`."""
    return {
        name: p
        for name, p in schema["properties"].items()
        if name != "format_version" and not p.get("deprecated")
    }


def json_types(annotation):
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(json_types, typing.get_args(annotation)))
    if origin is typing.Literal:
        return set(typing.get_args(annotation))
    if origin is tuple:
        return {"array"}
    if origin is Mapping or attrs.has(annotation):
        return {"object"}
    return {JSON_TYPES[annotation]}


def schema_types(schema):
    if "$ref" in schema:
        return {"object"}
    if "enum" in schema:
        return {"null" if value is None else value for value in schema["enum"]}
    return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])


@pytest.mark.parametrize("name", PAIRS)
def test_class_and_schema_have_the_same_fields_in_the_same_order(name):
    cls, schema = PAIRS[name]
    assert list(fields_of(cls)) == list(properties_of(schema))


@pytest.mark.parametrize("name", PAIRS)
def test_class_and_schema_have_the_same_types(name):
    cls, schema = PAIRS[name]
    for field, property_ in properties_of(schema).items():
        assert json_types(fields_of(cls)[field].type) == schema_types(property_), field


@pytest.mark.parametrize("name", PAIRS)
def test_class_and_schema_have_the_same_defaults(name):
    cls, schema = PAIRS[name]
    required = set(schema.get("required", ()))
    for field, attribute in fields_of(cls).items():
        property_ = schema["properties"][field]
        if attribute.default is attrs.NOTHING:
            assert field in required, field
            assert "default" not in property_, field
            continue
        default = getattr(cls, "OMITTED", {}).get(field, attribute.default)
        if isinstance(default, attrs.Factory):
            default = default.factory()
        if field == "training_config":
            assert default == TrainingConfig()
        elif isinstance(default, SpecialTokens):
            assert (property_["default"], default) == ({}, SpecialTokens())
        elif "default" in property_:
            plain = list(default) if isinstance(default, tuple) else default
            assert property_["default"] == plain, field
            assert type(property_["default"]) is type(plain), field
        if field in required:
            assert field in ALWAYS_WRITTEN, field


@pytest.mark.parametrize("name", ["config", "tokenizer", "training_state", "manifest", "shards"])
def test_every_document_has_to_carry_its_version(name):
    schema = PAIRS[name][1]
    assert "format_version" in schema["required"]
    assert set(schema["required"]) <= set(schema["properties"])


def test_every_field_is_described():
    for _, schema in PAIRS.values():
        for name, property_ in schema["properties"].items():
            assert "$ref" in property_ or property_["description"].endswith("."), name


def test_unknown_fields_are_kept_at_every_level_and_written_back():
    document = {
        "format_version": "2.0",
        "step": 1,
        "extra": "a field of that name too",
        "absent": ["and of this one"],
        "newer": [1, {"a": None}],
        "training_config": {"max_iters": 5, "newer": "x"},
        "gold": {"best_val_loss": 1.5, "best_step": 1, "guards": {"g": {}}, "newer": 2},
    }
    written = to_document(from_document(TrainingState, document))
    assert {name: written[name] for name in ("step", "extra", "absent", "newer")} == {
        name: document[name] for name in ("step", "extra", "absent", "newer")
    }
    assert written["training_config"]["newer"] == "x"
    assert written["gold"] == document["gold"] | {"decision": None}
    assert from_document(TrainingState, written) == from_document(TrainingState, document)


def test_every_field_of_the_config_that_may_be_null_has_a_property_that_applies_its_rule():
    fields = fields_of(GPTConfig).items()
    nullable = {name for name, a in fields if type(None) in typing.get_args(a.type)} - {"device"}
    assert set(DERIVED) | set(OPTIONAL) == nullable
    assert not set(DERIVED) & set(OPTIONAL)
    for name, rule in DERIVED.items():
        value = True if bool in typing.get_args(fields_of(GPTConfig)[name].type) else 3
        assert getattr(GPTConfig(), rule) is not None
        assert getattr(GPTConfig(**{name: value}), rule) == value
