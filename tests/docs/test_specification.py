"""The specification names every field with its type and range, and every tensor."""

import json
import re
from itertools import chain

import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.schema.check import LEGACY_KINDS, load_schema
from mypt.format.tensors.info import STORAGES
from mypt.format.tensors.pickles.pickle_reader import Interpreter
from mypt.format.tensors.pickles.torch_names import GLOBALS

KINDS = [
    "config",
    "training_state",
    "tokenizer",
    "manifest",
    "shards",
    "log_event",
    "dataset_metadata",
]
LIMITS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxLength", "pattern"]


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "specification" / "2.0.md").read_text("utf-8")


@pytest.fixture(scope="module")
def rows(page):
    """Give the cells of every table row by its first cell; a field may have several rows."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0].startswith("`"):
            found.setdefault(cells[0].strip("`"), []).append(cells[1:])
    return found


def fields(schema):
    """Give all properties of a schema at every level, and whether they are required."""
    for name, field in schema.get("properties", {}).items():
        yield name, field, name in schema.get("required", ())
        yield from fields(field)
    inner = [*schema.get("$defs", {}).values(), schema.get("additionalProperties")]
    for nested in inner:
        if isinstance(nested, dict):
            yield from fields(nested)


def says(cells, field, required):
    """Tell whether a row gives the type, the range and the default of a field."""
    kind, default = cells[0], cells[1]
    types = field.get("type", [])
    wanted = [types] if isinstance(types, str) else types
    wanted = [*wanted, *(f"{field[limit]}" for limit in LIMITS if limit in field)]
    wanted += [json.dumps(value) for value in field.get("enum", [])]
    told = (
        "**required**"
        if required
        else f"`{json.dumps(field['default'])}`"
        if "default" in field
        else ""
    )
    return all(word in kind for word in wanted) and told in (default, "")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_with_type_range_and_default(kind, rows):
    for name, field, required in fields(load_schema(kind)):
        required = required and kind not in ("log_event", "dataset_metadata")
        assert any(says(cells, field, required) for cells in rows.get(name, []) if cells[1:]), (
            kind,
            name,
        )


@pytest.mark.parametrize("kind", sorted(LEGACY_KINDS))
def test_every_field_tells_since_when_there_is_one_like_it(kind, page, rows):
    old = {name for name, _, _ in fields(load_schema(kind, 1))}
    new = load_schema(kind)
    nested = new.get("$defs", {}).get("training_config", {"properties": {}})["properties"]
    for name in chain(new["properties"], nested):
        since = "1" if name in old else "2.0"
        assert any(len(cells) == 5 and cells[2] == since for cells in rows[name]), (name, since)


def configs():
    for mlp in ("relu", "gelu", "gelu_tanh", "swiglu"):
        for norm in ("layernorm", "rmsnorm"):
            for biases in (False, True):
                names = ("qkv_bias", "proj_bias", "mlp_bias", "norm_bias", "head_bias")
                chosen = dict.fromkeys(names, biases)
                yield GPTConfig(n_layer=2, mlp_type=mlp, norm_type=norm, **chosen)


def test_every_tensor_of_every_part_is_in_the_table_in_its_order(page, rows):
    table = [name for name in rows if ".weight" in name or ".bias" in name]
    for config in configs():
        names = expected_tensors(config, BUILT_IN)
        patterns = [re.sub(r"blocks\.0\.", "blocks.{i}.", n) for n in names if "blocks.1." not in n]
        assert set(patterns) <= set(table), config
        assert patterns == [name for name in table if name in patterns]


def test_every_part_is_named(page):
    for slot, name in BUILT_IN:
        assert f"`{slot}`" in page
        assert f"`{name}`" in page


def test_what_a_pickle_may_hold_is_listed_and_nothing_else(page):
    section = page.partition("### 11.2")[2].partition("### 11.3")[0]
    listed = set(re.findall(r"\| [A-Z][A-Z_0-9]+ \| `?(.|[0-9A-F]{2})`? ", section))
    known = {*Interpreter.operations, ord(".")}
    shown = {chr(code) if 32 < code < 127 else f"{code:02X}" for code in known}
    assert listed == shown
    for name in GLOBALS:
        module, _, thing = name.decode().partition("\n")
        assert thing in section
        assert module in section
    for name, (dtype, size) in STORAGES.items():
        assert f"`{name}` | {dtype} | {size} |" in section


def test_every_event_is_listed_with_what_it_always_has(page):
    page = page.partition("**Training logs**")[2]
    for rule in load_schema("log_event")["allOf"]:
        event = rule["if"].get("properties", {}).get("event", {}).get("const", "no `event`")
        (row,) = [
            line for line in page.splitlines() if line.startswith((f"| `{event}` |", f"| {event}:"))
        ]
        for name in rule["then"]["required"]:
            assert f"`{name}`" in row
