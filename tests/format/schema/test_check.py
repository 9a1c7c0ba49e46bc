import json

import jsonschema
import pytest

from mypt.format.rules.documents import document_problems
from mypt.format.schema import strict_json
from mypt.format.schema.check import MAX_PROBLEMS, check_document, load_schema

KINDS = [
    "config",
    "training_state",
    "tokenizer",
    "manifest",
    "preset",
    "log_event",
    "dataset_metadata",
]
CONFIG = {
    "format_version": "2.0",
    "block_size": 8,
    "vocab_size": 5,
    "n_embd": 4,
    "n_head": 2,
    "n_layer": 1,
}


def found(kind, document):
    return [(p.where, p.kind, p.severity) for p in check_document(kind, document, "x.json")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_a_valid_schema_with_a_name(kind):
    schema = load_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:mypt:schema:2.0:{kind}"
    assert schema["title"]
    assert schema["description"]


def test_the_presets_that_ship_are_valid(root):
    presets = sorted((root / "configs").rglob("*.json"))
    assert len(presets) >= 6
    for path in presets:
        document = strict_json.parse(path.read_bytes(), path.name)
        assert document_problems("preset", document, path.name) == []


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"n_layer": "six"}, '/n_layer: is "six", not a whole number; write a whole number from 0'),
        ({"n_layer": 0.5}, "/n_layer: is 0.5, not a whole number; write a whole number from 0 to"),
        ({"n_layer": 10**9}, "/n_layer: is 1000000000, more than 100000; write a whole number"),
        ({"n_embd": 0}, "/n_embd: is 0, less than 1; write a whole number from 1 to 2147483647"),
        ({"n_head": True}, "/n_head: is true, not a whole number; write"),
        ({"dropout": 1}, "/dropout: is 1, not below 1; write a number of at least 0 and below 1"),
        ({"rope_theta": 0}, "/rope_theta: is 0, not above 0; write a number above 0"),
        ({"bias": None}, "/bias: is null, not true or false; write true or false"),
        ({"norm_eps": "x"}, '/norm_eps: is "x", not a number or null; write a number above 0 or'),
        ({"mlp_type": "GELU"}, '/mlp_type: is "GELU", which is not valid here; write a name in'),
        ({"plugins": {"a/b": {}}}, '/plugins/a~1b: is "a/b", which is not valid here; write the'),
        ({"plugins": []}, "/plugins: is a list of 0, not an object; write an object"),
        ({"n_layers": 3}, "/n_layers: is not a field of format 2.0 (did you mean `n_layer`?)"),
        (
            {"zzz": 3},
            "/zzz: is not a field of format 2.0; correct it if it is a mistake; mypt keeps",
        ),
    ],
    ids=str,
)
def test_a_problem_says_where_what_and_what_to_do(changed, line):
    (problem,) = check_document("config", CONFIG | changed, "config.json")
    assert str(problem).startswith(f"config.json#{line}")


def test_a_missing_field_is_pointed_at_with_its_meaning():
    document = {name: value for name, value in CONFIG.items() if name != "n_embd"}
    (problem,) = check_document("config", document, "config.json")
    assert str(problem) == "config.json#/n_embd: is missing; add it: Width of the residual stream"
    assert problem.kind == "schema.required"


def test_all_problems_are_found_at_once():
    document = {"format_version": "2.0", "token_kind": 3, "plugins": 1}
    assert {where for where, _, _ in found("tokenizer", document)} == {"/plugins", "/token_kind"}


def test_nested_fields_are_looked_at_too():
    state = {"format_version": "2.0", "step": 1}
    assert found("training_state", state | {"training_config": {"max_iter": 3, "seed": -1}}) == [
        ("/training_config/seed", "schema.minimum", "error"),
        ("/training_config/max_iter", "field.unknown", "warning"),
    ]
    assert found("training_state", state | {"optimizer_file": "../optimizer.pt"}) == [
        ("/optimizer_file", "schema.pattern", "error")
    ]


def test_a_character_given_twice_or_too_long_is_pointed_at():
    document = {"format_version": "2.0", "token_kind": "char", "chars": ["a", "bb", "a", 1]}
    assert found("tokenizer", document) == [
        ("/chars/1", "schema.maxLength", "error"),
        ("/chars/3", "schema.type", "error"),
        ("/chars/2", "schema.uniqueItems", "error"),
    ]
    assert found("tokenizer", document | {"chars": []}) == [("/chars", "schema.minItems", "error")]
    del document["chars"]
    assert found("tokenizer", document) == [("/chars", "schema.required", "error")]


def test_an_unknown_field_of_a_preset_is_an_error():
    assert found("preset", {"n_layers": 3}) == [
        ("/n_layers", "schema.additionalProperties", "error")
    ]


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("2.0", []),
        ("2.7", []),
        ("3.0", ["version.newer"]),
        ("10.0", ["version.newer"]),
        ("1.0", ["version.unknown"]),
        ("2", ["version.unknown"]),
        ("two", ["version.unknown"]),
        (2.0, ["schema.type"]),
        ("2.0\n", ["version.unknown"]),
        (None, ["schema.type"]),
    ],
    ids=repr,
)
def test_versions_are_told_apart(version, kinds):
    problems = check_document("config", CONFIG | {"format_version": version}, "config.json")
    assert [problem.kind for problem in problems] == kinds


def test_a_newer_major_is_refused_with_what_to_upgrade_and_nothing_else():
    (problem,) = check_document("config", {"format_version": "3.1", "n_layer": "?"}, "config.json")
    assert "is in format 3.1, newer than mypt" in problem.what
    assert problem.fix.startswith("upgrade mypt")


def test_a_document_without_version_is_of_version_1_and_read_with_the_defaults():
    assert found("config", {"n_layer": 4, "save_dtype": "bf16"}) == [("", "version.legacy", "note")]
    assert found("training_state", {"step": 4}) == [("", "version.legacy", "note")]
    assert found("config", {"n_layer": "4"})[1] == ("/n_layer", "schema.type", "error")
    assert found("training_state", {})[1] == ("/step", "schema.required", "error")


def test_a_version_1_document_is_held_to_what_version_1_had_and_to_newer_fields_if_it_has_them():
    assert found("config", {"mlp_type": "relu"})[1:] == [("/mlp_type", "schema.enum", "error")]
    assert found("config", {"head_size": "2"})[1:] == [("/head_size", "schema.type", "error")]
    state = {"step": 1, "training_config": {"beta1": 2, "model_params": {"n_layer": "6"}}}
    assert sorted(found("training_state", state)[1:]) == [
        ("/training_config/beta1", "schema.exclusiveMaximum", "error"),
        ("/training_config/model_params/n_layer", "schema.type", "error"),
    ]
    assert found("tokenizer", {"token_kind": "char"})[1:] == [
        ("/chars", "schema.required", "error")
    ]


@pytest.mark.parametrize("kind", ["manifest", "log_event", "dataset_metadata", "preset"])
def test_only_the_documents_that_version_1_had_can_be_of_version_1(kind):
    assert "version.legacy" not in {kind for _, kind, _ in found(kind, {})}


def test_a_newer_minor_keeps_its_fields_with_a_warning():
    document = CONFIG | {"format_version": "2.3", "added_in_2_3": {"deep": 1}}
    assert found("config", document) == [("/added_in_2_3", "field.unknown", "warning")]


def test_a_very_large_vocabulary_is_checked_item_by_item_and_quickly():
    chars = [chr(code) for code in range(0x4E00, 0x4E00 + 20_000)]
    document = {"format_version": "2.0", "token_kind": "char", "chars": chars}
    document["special_token_encoder"] = {f"<{n}>": n for n in range(300_000)}
    assert found("tokenizer", document) == []
    document["chars"][-1] = chars[0]
    document["special_token_encoder"]["<7>"] = -1
    assert found("tokenizer", document) == [
        ("/chars/19999", "schema.uniqueItems", "error"),
        ("/special_token_encoder/<7>", "schema.minimum", "error"),
    ]


def test_a_million_problems_are_cut_short():
    chars = [n % 2 or str(n) for n in range(300_000)]
    document = {"format_version": "2.0", "token_kind": "char", "chars": chars}
    assert len(found("tokenizer", document)) == MAX_PROBLEMS


@pytest.mark.parametrize("kind", KINDS)
def test_our_validator_agrees_with_jsonschema_s_own(kind):
    record = {"size_bytes": 1, "sha256": "0" * 64}
    values = [None, True, 0, 1, -1, 2.5, "", "a", "A", [], ["a"], ["a", "a"], {}, {"a": record}]
    plain = jsonschema.Draft202012Validator(load_schema(kind))
    complete = CONFIG | {"step": 1, "token_kind": "gpt2", "generation": 1, "files": {"a": record}}
    if kind == "preset":
        complete = {}
    for name in load_schema(kind)["properties"]:
        if name == "format_version":
            continue
        for value in values:
            document = json.loads(json.dumps(complete | {name: value}))
            ours = any(p.severity == "error" for p in check_document(kind, document, "x"))
            assert ours != plain.is_valid(document), (name, value)
