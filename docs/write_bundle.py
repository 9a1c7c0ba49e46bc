"""Write `docs/reference/bundle.md` from the published schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.format.resources import data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# The bundle

A model is a folder. Its JSON documents are described here field by field, out of the schemas in
`schemas/v2/`; point your editor at those for completion and checks. What a program
needs to know that reads or writes the format by itself: [specification](../specification/2.0.md).

```
checkpoints/dante/
├── config.json           architecture: what cannot change once training began
├── tokenizer.json        vocabulary
├── training_state.json   progress and hyperparameters: what may change between runs
├── model.pt              weights only: a flat dict name -> tensor
├── optimizer.pt          the optimizer's state (optional; not needed for inference)
└── manifest.json         the commit record
```

A folder with `config.json`, `tokenizer.json` and `model.pt` is a valid bundle. Anything else in
the folder is left alone. Fields that mypt does not know are kept and written back.

This page is written by `python docs/write_bundle.py`.
"""
FILES = ("config", "tokenizer", "training_state", "manifest")


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *(_describe_file(kind) for kind in FILES)])


def _describe_file(kind: str) -> str:
    schema = json.loads(
        data_dir("schemas").joinpath("v2").joinpath(f"{kind}.schema.json").read_text("utf-8")
    )
    parts = [f"## {kind}.json\n\n{schema['description']}\n", _field_table(schema)]
    for name, nested in schema.get("$defs", {}).items():
        parts.append(f"### `{name}`\n\n{nested['description']}\n\n{_field_table(nested)}")
        parts += _describe_nested(nested)
    return "\n".join([*parts, *_describe_nested(schema)])


def _describe_nested(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Describe what is inside the fields of a schema, however deep."""
    for name, field in schema["properties"].items():
        ways = {"Inside": field, "Each of": field.get("items")}
        ways["Each in"] = field.get("additionalProperties")
        for way, inner in ways.items():
            if isinstance(inner, dict) and "properties" in inner:
                yield f"### {way} `{path}{name}`\n\n{_field_table(inner)}"
                yield from _describe_nested(inner, f"{path}{name}/")


def _field_table(schema: dict[str, Any]) -> str:
    rows = ["| field | type | default | |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        default = json.dumps(field["default"]) if "default" in field else ""
        if name in schema.get("required", ()):
            default = "required"
        text = field.get("description", f"See `{name}` below.")
        rows.append(f"| `{name}` | {_type_of(field)} | {default} | {text} |")
    return "\n".join([*rows, ""])


def _type_of(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    kind = field.get("type", "object")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


if __name__ == "__main__":
    target = Path(__file__).parent / "reference" / "bundle.md"
    target.write_text(page(), encoding="utf-8")
