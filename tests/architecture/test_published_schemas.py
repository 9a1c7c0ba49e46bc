"""A published schema never changes again; what is published is written down with its hash."""

import hashlib
import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest

from mypt.format.schema.check import LEGACY_KINDS, load_schema
from mypt.format.version import MYPT_VERSION

ROOT_OF_IDS = "urn:mypt:schema"
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\]", re.MULTILINE)
ALL = [
    *((1, kind) for kind in sorted(LEGACY_KINDS)),
    *((2, kind) for kind in ("config", "training_state", "tokenizer", "manifest")),
    *((2, kind) for kind in ("preset", "log_event", "dataset_metadata")),
]


@pytest.fixture(scope="module")
def published(root):
    """Give, by released version of mypt, the SHA-256 of each schema by its path."""
    file = root / "tests" / "architecture" / "published_schemas.json"
    return json.loads(file.read_text("utf-8"))


def test_no_published_schema_was_changed(root, published):
    for version, files in published.items():
        for path, sha256 in files.items():
            data = (root / path).read_bytes()
            told = f"{path} was published with mypt {version}: put the change into a new file"
            assert hashlib.sha256(data).hexdigest() == sha256, told


def test_every_release_lists_its_schemas(root, published):
    released = RELEASE.findall((root / "CHANGELOG.md").read_text("utf-8"))
    assert set(released) == set(published), "run: python tests/architecture/publish_schemas.py"
    if MYPT_VERSION in published:
        here = {p.relative_to(root).as_posix() for p in (root / "schemas").rglob("*.schema.json")}
        assert set(published[MYPT_VERSION]) == here


def test_no_field_of_the_frozen_format_was_changed(root):
    script = runpy.run_path(str(Path(__file__).parent / "freeze_fields.py"))
    frozen, now = json.loads(script["FILE"].read_text("utf-8")), script["read_fields"]()
    for kind, fields in frozen.items():
        changed = {path for path, digest in fields.items() if now[kind].get(path) != digest}
        assert not changed, "format 2.0 is frozen: a field keeps its types, range and default"
        told = "run: python -m tests.architecture.freeze_fields"
        assert now[kind].keys() == fields.keys(), told


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
