"""Write the schema of presets out of those of `config.json` and of the hyperparameters.

A preset holds fields of both side by side, each optional and without a default. The schema repeats
them, so that whoever validates presets needs one file and no `$ref` to follow; nobody edits it.
"""

import json
from pathlib import Path

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas" / "v2"
PRESET = SCHEMAS / "preset.schema.json"
# Known to a run alone, and what stands at the end.
LEFT_OUT = {"format_version", "adapter", "requires", "start_step", "config_file", "plugins"}


def make_schema():
    """Return the bytes of `preset.schema.json`."""
    config = json.loads((SCHEMAS / "config.schema.json").read_text("utf-8"))
    state = json.loads((SCHEMAS / "training_state.schema.json").read_text("utf-8"))
    plugins = without_default(config["properties"]["plugins"])
    schema = {
        "$schema": config["$schema"],
        "$id": "urn:mypt:schema:2.0:preset",
        "title": "mypt preset",
        "description": "An architecture to train from, with suggested training settings.",
        "type": "object",
        "properties": {
            "name": {"description": "Display name.", "type": "string", "minLength": 1},
            "description": {"description": "What the preset is for.", "type": "string"},
            **pick_fields(config),
            **pick_fields(state["$defs"]["training_config"]),
            "tokenization": {
                "description": "Tokenizer to train with: char, gpt2, or a plugin's.",
                "type": "string",
            },
            "plugins": plugins,
        },
        "additionalProperties": False,
    }
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()


def pick_fields(schema):
    return {
        name: without_default(field)
        for name, field in schema["properties"].items()
        if name not in LEFT_OUT and not field.get("deprecated")
    }


def without_default(field):
    return {keyword: value for keyword, value in field.items() if keyword != "default"}


if __name__ == "__main__":
    PRESET.write_bytes(make_schema())
