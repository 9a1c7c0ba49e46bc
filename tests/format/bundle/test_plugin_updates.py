"""Present names and settings of plugins in documents that were saved with earlier ones."""

import pytest

from mypt.format.bundle.plugin_updates import find_package, update_document, update_needs
from mypt.format.rules.plugin_settings import NO_SETTINGS, Setting, former_key


def double(settings, origin):
    return {"size": 2 * settings["width"]} if "width" in settings else settings


NEW = Setting("acme-new", former_packages=("acme-old",), update=double)
SETTINGS = {
    ("mlp_type", "mix"): NEW,
    former_key("mlp_type", "mixture"): Setting("acme-new", name="mix", update=double),
    ("token_kind", "bpe"): Setting("acme-new", former_packages=("acme-old",)),
    ("log_sinks", "table"): Setting("acme-new"),
    former_key("log_sinks", "csv"): Setting("acme-new", name="table"),
    ("gold_guards", "calm"): Setting("acme-new"),
    former_key("gold_guards", "quiet"): Setting("acme-new", name="calm"),
    former_key("plugins", "acme-old"): Setting("acme-new"),
    ("data_source", "tales"): Setting("acme-new", update=double),
    former_key("data_source", "story"): Setting("acme-new", name="tales"),
}
NEEDS = {"Acme_Old": {"version": "1.5", "needed_for": ["read"]}}


def update(document, needs=NEEDS, settings=SETTINGS):
    before = repr(document)
    updated, notes = update_document(document, "f", settings, needs)
    assert repr(document) == before
    assert all(note.severity == "note" for note in notes)
    again, more = update_document(updated, "f", settings, needs)
    assert (again, more) == (updated, [])
    return updated, [note.where for note in notes]


def test_a_choice_its_section_and_its_settings_become_those_of_today():
    given = {"mlp_type": "mixture", "plugins": {"other": {}, "acme-old": {"width": 4}}}
    settings = {**SETTINGS, former_key("mlp_type", "mixture"): NEW_NAMED}
    updated, places = update(given, settings=settings)
    assert updated == {"mlp_type": "mix", "plugins": {"other": {}, "acme-new": {"size": 8}}}
    assert places == ["/mlp_type", "/plugins/acme-old", "/plugins/acme-new"]


NEW_NAMED = Setting("acme-new", name="mix", former_packages=("acme-old",), update=double)


def test_what_is_of_today_stays_the_same_object():
    for document in (
        {"mlp_type": "gelu", "n_layer": 2},
        {"mlp_type": "mix", "plugins": {"acme-new": {"size": 2}}},
        {"token_kind": "bpe", "plugins": {"unknown": {"width": 1}}},
    ):
        assert update_document(document, "f", SETTINGS, NEEDS)[0] is document


def test_nothing_is_done_where_no_plugin_is_known():
    document = {"mlp_type": "mixture", "plugins": {"acme-old": {"width": 4}}}
    assert update_document(document, "f", NO_SETTINGS, NEEDS) == (document, [])


def test_where_both_sections_are_there_that_of_today_counts():
    given = {"mlp_type": "mix", "plugins": {"acme-old": {"width": 4}, "acme-new": {"size": 1}}}
    assert update(given) == (given, [])


def test_a_section_that_another_choice_still_uses_stays():
    settings = {**SETTINGS, ("norm_type", "flat"): Setting("acme-old")}
    given = {"mlp_type": "mix", "norm_type": "flat", "plugins": {"acme-old": {"width": 4}}}
    assert update(given, settings=settings) == (given, [])


def test_guards_sinks_and_their_memory_are_renamed_in_their_order():
    training = {"gold_guards": {"a": {}, "quiet": {"n": 1}, "b": False}, "log_sinks": {"csv": {}}}
    given = {"step": 3, "training_config": training, "gold": {"guards": {"quiet": {"seen": 2}}}}
    given["sinks"] = {"csv": {"id": 7}, "gone": {"id": 8}}
    updated, places = update(given)
    assert updated["sinks"] == {"table": {"id": 7}, "gone": {"id": 8}}
    assert list(updated["training_config"]["gold_guards"].items()) == [
        ("a", {}),
        ("calm", {"n": 1}),
        ("b", False),
    ]
    assert updated["training_config"]["log_sinks"] == {"table": {}}
    assert updated["gold"]["guards"] == {"calm": {"seen": 2}}
    assert places == [
        "/training_config/gold_guards/quiet",
        "/training_config/log_sinks/csv",
    ]


def test_what_reads_the_texts_is_renamed_and_its_options_are_those_of_today():
    training = {"data_source": "story", "data_options": {"width": 4}}
    updated, places = update({"step": 3, "training_config": training})
    assert updated["training_config"] == {"data_source": "tales", "data_options": {"size": 8}}
    assert places == ["/training_config/data_source", "/training_config/data_options"]
    for open_or_own in (
        {"data_source": None, "data_options": {"width": 4}},
        {"data_source": "text"},
    ):
        assert update(open_or_own) == (open_or_own, [])


def test_a_preset_has_them_at_its_top():
    updated, _ = update({"gold_guards": {"quiet": {}}, "mlp_type": "gelu"})
    assert updated["gold_guards"] == {"calm": {}}


def test_where_both_names_are_there_neither_is_lost():
    given = {"step": 1, "training_config": {"gold_guards": {"calm": {"n": 1}, "quiet": {"n": 2}}}}
    assert update(given) == (given, [])


def test_packages_are_renamed_in_what_a_document_requires_and_in_the_environment():
    environment = {"torch": "2", "plugins": NEEDS}
    given = {"step": 1, "requires": ["x", "plugin/acme-old"], "environment": environment}
    updated, places = update(given)
    assert updated["requires"] == ["x", "plugin/acme-new"]
    assert updated["environment"]["plugins"] == {"acme-new": NEEDS["Acme_Old"]}
    assert places == ["/requires", "/environment/plugins"]


@pytest.mark.parametrize(
    ("needs", "wanted"),
    [
        ({}, {}),
        ({"x": {"version": "1"}}, {"x": {"version": "1"}}),
        ({"Acme_Old": {"version": "1"}}, {"acme-new": {"version": "1"}}),
        (
            {"acme-old": {"version": "1"}, "acme-new": {"version": "2"}},
            {"acme-new": {"version": "2"}},
        ),
    ],
)
def test_what_a_manifest_says_is_found_under_present_names(needs, wanted):
    assert update_needs(needs, SETTINGS) == wanted


def test_a_package_that_nobody_succeeds_keeps_its_name():
    assert find_package("acme-old", SETTINGS) == "acme-new"
    assert find_package("x", SETTINGS) == "x"


def test_the_origin_says_what_saved_the_settings():
    asked = []

    def ask(settings, origin):
        asked.append((origin.name, origin.package, origin.version))
        return settings

    for needs in (NEEDS, {"acme-new": {"version": "2"}}, {}):
        setting = Setting("acme-new", former_packages=("acme-old",), update=ask, name="mix")
        settings = {former_key("mlp_type", "mixture"): setting}
        update_document({"mlp_type": "mixture"}, "f", settings, needs)
    assert asked == [
        ("mixture", "acme-old", "1.5"),
        ("mixture", "acme-new", "2"),
        ("mixture", "acme-new", None),
    ]
