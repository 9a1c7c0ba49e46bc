"""Write down what each field of the format is, so that it only grows from here on.

A field that is written down stays as it is until a new major version: its types, range, default and
whether it is needed. New ones belong to the version of the format that `mypt/format/version.py`
names, and are added by running this again, until mypt is released with that version. From then on
what is new takes the next minor version.
"""

import hashlib
import json
import sys
from pathlib import Path

from mypt.format.schema.check import load_schema
from mypt.format.version import FORMAT_VERSION, MYPT_VERSION

FILE = Path(__file__).parent / "frozen_fields.json"
PUBLISHED = Path(__file__).parent / "published_schemas.json"
KINDS = (
    *("config", "tokenizer", "training_state", "manifest", "shards"),
    *("preset", "log_event", "dataset_metadata"),
)
# What only explains a field.
REMARKS = ("description", "title", "x-group", "$id", "$schema")


def describe_fields(schema, path=""):
    """Yield the path of each field of a schema, and a digest of all that a reader goes by."""
    bare = {key: value for key, value in schema.items() if key not in (*REMARKS, "$defs")}
    for name, field in {**bare.pop("properties", {}), **schema.get("$defs", {})}.items():
        yield from describe_fields(field, f"{path}/{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(bare.get(key), dict):
            yield from describe_fields(bare.pop(key), f"{path}/{key}")
    text = json.dumps(bare, sort_keys=True)
    yield path or "/", hashlib.sha256(text.encode()).hexdigest()[:16]


def read_fields():
    """Return the digests of all fields as the schemas have them now, by document and path."""
    return {kind: dict(sorted(describe_fields(load_schema(kind)))) for kind in KINDS}


def join(frozen):
    """Return the fields of some versions of the format together."""
    return {
        kind: {path: digest for fields in frozen.values() for path, digest in fields[kind].items()}
        for kind in KINDS
    }


def find_changes(frozen, now):
    """Yield what is not as it was written down; what is new has to be written down first."""
    for kind, fields in join(frozen).items():
        for path in sorted(fields.keys() | now[kind].keys()):
            if path not in fields:
                yield f"{kind}#{path} is new: run python -m tests.architecture.freeze_fields"
            elif path not in now[kind]:
                yield f"{kind}#{path} is gone: a field stays until a new major version"
            elif fields[path] != now[kind][path]:
                yield f"{kind}#{path} has changed: a field keeps its types, range and default"


def add_new(frozen, now, published, version=FORMAT_VERSION, release=MYPT_VERSION):
    """Add the fields that no earlier version of the format has to those of this one.

    Args:
        frozen: The fields by version of the format, as they were written down.
        now: The fields of today.
        published: The schemas of each release of mypt, and the version of the format they are of.
        version: The version of the format that new fields belong to.
        release: The version of mypt that is being made.
    """
    before = {other: fields for other, fields in frozen.items() if other != version}
    known = join(before)
    fields = {
        kind: {path: digest for path, digest in now[kind].items() if path not in known[kind]}
        for kind in KINDS
    }
    by = [mypt for mypt, made in published.items() if made["format"] == version and mypt != release]
    if by and fields != frozen[version]:
        told = f"format {version} was released with mypt {by[0]}: what is new takes a minor version"
        sys.exit(f"{told}, in a folder of schemas of its own; see docs/explanation/policy.md")
    return {**before, version: fields}


def main():
    """Add the new fields; those of earlier versions stay as they are."""
    frozen, published = (json.loads(file.read_text("utf-8")) for file in (FILE, PUBLISHED))
    made = add_new(frozen, read_fields(), published)
    FILE.write_text(json.dumps(made, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
