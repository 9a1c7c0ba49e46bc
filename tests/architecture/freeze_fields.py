"""Write down what each field of format 2.0 is, so that it only grows from here on.

A field that is written down stays as it is until a new major version: its types, range, default and
whether it is needed. New ones are added by running this again.
"""

import hashlib
import json
from pathlib import Path

from mypt.format.schema.check import load_schema

FILE = Path(__file__).parent / "frozen_fields.json"
KINDS = ("config", "tokenizer", "training_state", "manifest")
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


def main():
    """Add the new fields; those before stay as they are."""
    frozen = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    made = {kind: fields | frozen.get(kind, {}) for kind, fields in read_fields().items()}
    FILE.write_text(json.dumps(made, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
