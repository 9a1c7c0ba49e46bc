"""A published schema never changes again; what is published is written down with its hash."""

import copy
import hashlib
import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest

from mypt.format.schema.check import LEGACY_KINDS, load_schema
from mypt.format.version import FORMAT_VERSION, MYPT_VERSION

ROOT_OF_IDS = "urn:mypt:schema"
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\]", re.MULTILINE)
ALL = [
    *((1, kind) for kind in sorted(LEGACY_KINDS)),
    *((2, kind) for kind in ("config", "training_state", "tokenizer", "manifest", "shards")),
    *((2, kind) for kind in ("preset", "log_event", "dataset_metadata")),
]


@pytest.fixture(scope="module")
def published(root):
    """Give, by released version of mypt, its format and the SHA-256 of each schema by its path."""
    file = root / "tests" / "architecture" / "published_schemas.json"
    return json.loads(file.read_text("utf-8"))


@pytest.fixture(scope="module")
def freeze():
    return runpy.run_path(str(Path(__file__).parent / "freeze_fields.py"))


@pytest.fixture
def frozen(freeze):
    return json.loads(freeze["FILE"].read_text("utf-8"))


def test_no_published_schema_was_changed(root, published):
    for version, release in published.items():
        for path, sha256 in release["schemas"].items():
            data = (root / path).read_bytes()
            told = f"{path} was published with mypt {version}: put the change into a new file"
            assert hashlib.sha256(data).hexdigest() == sha256, told


def test_every_release_lists_its_schemas(root, published):
    released = RELEASE.findall((root / "CHANGELOG.md").read_text("utf-8"))
    assert set(released) == set(published), "run: python tests/architecture/publish_schemas.py"
    if MYPT_VERSION in published:
        here = {p.relative_to(root).as_posix() for p in (root / "schemas").rglob("*.schema.json")}
        assert set(published[MYPT_VERSION]["schemas"]) == here
        assert published[MYPT_VERSION]["format"] == FORMAT_VERSION


def test_no_field_of_the_frozen_format_was_changed(freeze, frozen):
    assert list(freeze["find_changes"](frozen, freeze["read_fields"]())) == []
    assert list(frozen)[-1] == FORMAT_VERSION
    assert frozen["2.0"].keys() == {kind for major, kind in ALL if major == 2}


def alter(schema, how):
    """Return the fields of a schema of the format that somebody has altered."""
    fields, name = schema["properties"], "norm_type"
    if how == "removed":
        del fields[name]
    elif how == "renamed":
        fields["norm_kind"] = fields.pop(name)
    elif how == "other type":
        fields[name]["type"] = "integer"
    elif how == "other default":
        fields[name]["default"] = "rmsnorm"
    elif how == "required":
        schema["required"].append(name)
    elif how == "closed":
        schema["additionalProperties"] = False
    elif how == "other range":
        fields["n_layer"]["maximum"] = 7
    elif how == "added and required":
        fields["colour"] = {"type": "string"}
        schema["required"].append("colour")
    return schema


@pytest.mark.parametrize(
    "how",
    [
        *("removed", "renamed", "other type", "other default", "required", "closed"),
        *("other range", "added and required"),
    ],
)
def test_whatever_an_older_reader_would_trip_over_is_a_change(freeze, frozen, how):
    now = freeze["read_fields"]()
    altered = alter(copy.deepcopy(load_schema("config")), how)
    now["config"] = dict(freeze["describe_fields"](altered))
    made = freeze["add_new"](frozen, now, {}, "2.1", "1.1.0")
    assert [line for line in freeze["find_changes"](made, now) if "config#" in line]


def test_a_new_field_takes_a_new_minor_version(freeze, frozen, published):
    now = freeze["read_fields"]()
    now["config"]["/colour"] = "0" * 16
    (told,) = freeze["find_changes"](frozen, now)
    assert told.startswith("config#/colour is new")
    with pytest.raises(SystemExit, match=r"format 2\.0 was released with mypt 1\.0\.0"):
        freeze["add_new"](frozen, now, published, "2.0", "1.1.0")
    made = freeze["add_new"](frozen, now, published, "2.1", "1.1.0")
    assert made == {**frozen, "2.1": {kind: {} for kind in now} | {"config": {"/colour": "0" * 16}}}
    assert list(freeze["find_changes"](made, now)) == []


def test_these_are_all_schemas(root):
    here = {p.relative_to(root / "schemas").as_posix() for p in (root / "schemas").rglob("*.json")}
    assert here == {f"v{major}/{kind}.schema.json" for major, kind in ALL}


@pytest.mark.parametrize(("major", "kind"), ALL)
def test_every_schema_is_valid_and_says_what_it_is(major, kind):
    schema = load_schema(kind, major)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{ROOT_OF_IDS}:{'1' if major == 1 else '2.0'}:{kind}"
    assert schema["title"]
    assert schema["description"]


def properties(schema, path=()):
    for name, field in schema.get("properties", {}).items():
        yield (*path, name), field
        yield from properties(field, (*path, name))
    for name, field in schema.get("$defs", {}).items():
        yield from properties(field, (*path, name))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from properties(schema["additionalProperties"], (*path, "*"))


@pytest.mark.parametrize(("major", "kind"), ALL)
def test_every_field_of_a_schema_has_a_description(major, kind):
    schema = load_schema(kind, major)
    for path, field in properties(schema):
        described = schema["$defs"][field["$ref"].rpartition("/")[2]] if "$ref" in field else field
        assert described.get("description", "").endswith("."), path


@pytest.mark.parametrize(("major", "kind"), ALL)
def test_every_default_is_a_value_that_its_field_accepts(major, kind):
    schema = load_schema(kind, major)
    for path, field in properties(schema):
        if "default" in field:
            assert jsonschema.Draft202012Validator(field).is_valid(field["default"]), path


@pytest.mark.parametrize("kind", sorted(LEGACY_KINDS))
def test_a_field_of_both_versions_has_the_same_default(kind):
    old, new = (dict(properties(load_schema(kind, major))) for major in (1, 2))
    for path in old.keys() & new.keys():
        if "default" in old[path] and "default" in new[path]:
            assert old[path]["default"] == new[path]["default"], path


def test_the_schema_of_presets_is_that_of_config_and_training():
    script = runpy.run_path(str(Path(__file__).parent / "write_preset_schema.py"))
    told = "run: python tests/architecture/write_preset_schema.py"
    assert script["PRESET"].read_bytes() == script["make_schema"](), told
