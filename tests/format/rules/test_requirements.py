import re

import pytest

from mypt.format.rules.requirements import (
    FEATURES,
    SCOPES,
    disagreement_problems,
    feature_problems,
    list_version_changes,
    make_feature,
    merge_needs,
    package_of,
)
from mypt.format.schema.check import load_schema
from mypt.format.version import MYPT_VERSION


def need(version, *purposes):
    return {"acme": {"version": version, "needed_for": [*purposes]}}


@pytest.mark.parametrize("purposes", [("read", "generate", "train"), ("train",)])
def test_another_version_is_a_change_whatever_it_is_needed_for(purposes):
    before, now = need("1.0", *purposes), need("2.0", *purposes)
    assert list(list_version_changes(before, now)) == [("acme", "1.0", "2.0")]
    assert list(list_version_changes(before, before)) == []


def test_what_computes_may_neither_come_nor_go():
    computes = need("1.0", "generate", "train")
    other = {"other": computes["acme"]}
    assert list(list_version_changes(computes, {})) == [("acme", "1.0", None)]
    assert list(list_version_changes({}, computes)) == [("acme", None, "1.0")]
    changes = [("acme", "1.0", None), ("other", None, "1.0")]
    assert list(list_version_changes(computes, other)) == changes


def test_a_guard_comes_and_goes():
    assert list(list_version_changes(need("1.0", "train"), {})) == []
    assert list(list_version_changes({}, need("1.0", "train"))) == []


def test_a_version_that_is_not_known_is_no_change():
    unknown = {"acme": {"version": None, "needed_for": ["read", "generate", "train"]}}
    known = {"acme": {**unknown["acme"], "version": "2.0"}}
    assert list(list_version_changes(unknown, known)) == []
    assert list(list_version_changes(known, unknown)) == []


def test_a_plugin_is_a_feature_under_the_normalized_name_of_its_package():
    assert make_feature("Acme_Tools..x") == "plugin/acme-tools-x"
    pattern = load_schema("config")["properties"]["requires"]["items"]["pattern"]
    assert re.fullmatch(pattern, make_feature("Acme_Tools..x"))
    assert package_of("plugin/acme-tools-x") == "acme-tools-x"
    assert package_of("plugin/acme_tools") == "acme-tools"
    assert package_of("plugin/") is package_of("plugins/x") is package_of("sinks") is None


def test_what_a_plugin_is_needed_for_follows_from_the_documents_that_require_it():
    def needed_for(*kinds, listed=()):
        manifest = {"acme": {"version": "1", "needed_for": listed}} if listed else {}
        needs = merge_needs(manifest, {key: ["plugin/acme", "sinks"] for key in kinds})
        return needs["acme"]["needed_for"]

    assert needed_for("config") == ["read", "generate", "train"]
    assert needed_for("tokenizer") == ["generate"]
    assert needed_for("training_state") == ["train"]
    assert needed_for("training_state", "tokenizer") == ["generate", "train"]
    assert needed_for("training_state", listed=["generate"]) == ["generate", "train"]
    assert merge_needs({}, {"config": ["sinks"]}) == {}


def test_the_manifest_lists_packages_by_any_spelling():
    needs = merge_needs({"Acme.Tools": {"version": "1", "needed_for": ["train"]}}, {})
    assert needs == {"acme-tools": {"version": "1", "needed_for": ["train"]}}
    required = {"training_state": ["plugin/acme-tools"]}
    assert list(disagreement_problems(needs, required, "manifest.json")) == []


def test_every_feature_that_is_not_known_is_named_with_its_place_and_version():
    document = {"format_version": "2.12", "requires": ["a", "plugin/acme", "b/c"]}
    problems = feature_problems("training_state", document, "x.json")
    assert [problem.where for problem in problems] == ["/requires/0", "/requires/2"]
    assert str(problems[1]) == (
        f'x.json#/requires/2: is "b/c", a feature of format 2.12 that mypt {MYPT_VERSION} lacks: '
        "its training cannot go on; upgrade mypt: pip install --upgrade mypt-lm"
    )


def test_the_registry_is_that_of_the_specification(root):
    page = (root / "docs" / "specification" / "2.0.md").read_text("utf-8")
    table = page.partition("| feature | document | since | meaning |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \| `([a-z_]+)[.]json` \| ([0-9.]+) \|", table, re.M)
    assert {(kind, feature): version for feature, kind, version in rows} == {
        (kind, feature): version
        for kind, known in FEATURES.items()
        for feature, version in known.items()
    }
    assert FEATURES.keys() == SCOPES.keys()
    for scope in SCOPES.values():
        purposes = ", ".join(f"`{purpose}`" for purpose in scope.purposes)
        assert f"| `{scope.file}` | {purposes} |" in page
