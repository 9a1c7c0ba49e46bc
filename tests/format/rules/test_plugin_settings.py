import pytest

from mypt.format.rules.plugin_settings import Setting, settings_problems

SLOPES = {
    "type": "object",
    "properties": {"slope": {"type": "number", "minimum": 0}},
    "additionalProperties": False,
}
SETTINGS = {
    ("pos_encoding", "alibi"): Setting("acme-alibi", SLOPES),
    ("norm_type", "alibi_norm"): Setting("acme-alibi", SLOPES),
    ("token_kind", "bpe"): Setting("acme-bpe", {"type": "object", "required": ["merges"]}),
    ("gold_guards", "patience"): Setting("acme-guards", SLOPES),
}


def found(document):
    problems = settings_problems(document, "x.json", SETTINGS)
    return [(problem.where, problem.kind) for problem in problems]


def test_settings_of_a_part_stand_under_the_name_of_its_package():
    config = {"pos_encoding": "alibi", "plugins": {"acme-alibi": {"slope": 0.5}}}
    assert found(config) == []
    config["plugins"]["acme-alibi"]["slope"] = -1
    assert found(config) == [("/plugins/acme-alibi/slope", "settings.minimum")]
    config["plugins"]["acme-alibi"] = {"slop": 1}
    assert found(config) == [("/plugins/acme-alibi/slop", "settings.additionalProperties")]


def test_an_unknown_setting_is_told_with_those_that_there_are():
    config = {"pos_encoding": "alibi", "plugins": {"acme-alibi": {"slop": 1}}}
    (problem,) = settings_problems(config, "x.json", SETTINGS)
    said = "/plugins/acme-alibi/slop: is not an option (did you mean `slope`?); use one of: slope"
    assert str(problem) == f"x.json#{said}"


def test_parts_of_one_package_share_their_settings_and_say_what_is_wrong_once():
    config = {"pos_encoding": "alibi", "norm_type": "alibi_norm"}
    config["plugins"] = {"acme-alibi": {"slope": -1}}
    assert found(config) == [("/plugins/acme-alibi/slope", "settings.minimum")]


def test_settings_of_a_part_that_is_not_chosen_are_nobodys():
    assert found({"pos_encoding": "learned", "plugins": {"acme-alibi": {"slope": -1}}}) == []


def test_a_setting_can_be_demanded():
    assert found({"token_kind": "bpe"}) == [("/plugins/acme-bpe/merges", "settings.required")]
    assert found({"token_kind": "bpe", "plugins": {"acme-bpe": {"merges": []}}}) == []


@pytest.mark.parametrize("options", [{"slope": "steep"}, True, 3])
def test_options_of_a_guard_are_checked_in_the_training_state_and_in_a_preset(options):
    guards = {"gold_guards": {"patience": options, "unheard_of": 1}}
    at = "/gold_guards/patience" + ("/slope" if isinstance(options, dict) else "")
    assert found({"step": 1, "training_config": guards}) == [
        (f"/training_config{at}", "settings.type")
    ]
    assert found(guards) == [(at, "settings.type")]


def test_a_guard_that_is_off_needs_no_options():
    assert found({"gold_guards": {"patience": False}}) == []


def test_a_schema_that_is_none_is_the_plugins_fault():
    settings = {("pos_encoding", "alibi"): Setting("acme-alibi", {"type": "nonsense"})}
    (problem,) = settings_problems({"pos_encoding": "alibi"}, "config.json", settings)
    assert (problem.severity, problem.kind) == ("warning", "plugin.schema")
    assert "acme-alibi" in str(problem)
