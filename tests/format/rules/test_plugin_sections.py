import pytest

from mypt.format.rules.plugin_sections import (
    list_clashes,
    preset_problems,
    unknown_name_problems,
    written_section_problems,
)
from mypt.format.rules.plugin_settings import Setting

SLOPES = {
    "type": "object",
    "properties": {"slope": {"type": "number", "minimum": 0}},
    "additionalProperties": False,
}
TRAINING = {"properties": {"n_words": {"type": "integer"}, "slow": {"type": "boolean"}}}
SETTINGS = {
    ("token_kind", "char"): Setting("mypt-lm"),
    ("tokenization", "char"): Setting("mypt-lm"),
    ("gold_guards", "overfit"): Setting("mypt-lm"),
    ("log_sinks", "console"): Setting("mypt-lm"),
    ("optimizer", "adamw"): Setting("mypt-lm", {"additionalProperties": False}),
    ("optimizer", "acme_sgd"): Setting("acme-words", SLOPES),
    ("plugins", "acme-words"): Setting("acme-words", names=("words", "wordy")),
    ("plugins", "acme-off"): Setting("acme-off", unusable=("is disabled", "enable it")),
    ("mlp_type", "leaky"): Setting("acme-words", SLOPES),
    ("norm_type", "plain"): Setting("acme-words"),
    ("tokenization", "words"): Setting("acme-words", TRAINING),
    ("token_kind", "words"): Setting("acme-words", {"required": ["words"]}),
    ("plugins", "acme-open"): Setting("acme-open"),
    ("pos_encoding", "open"): Setting("acme-open", {"additionalProperties": True}),
    ("attention_type", "any_of"): Setting("acme-open", {"anyOf": [SLOPES]}),
}
BOTH = [("mlp_type", "leaky"), ("tokenization", "words")]


def lines(sections, choices=BOTH, settings=SETTINGS):
    found = written_section_problems(sections, choices, "p.json", settings)
    return [f"{problem.severity}: {problem}" for problem in found]


def test_a_part_and_a_tokenizer_of_one_package_share_its_section():
    assert lines({"acme-words": {"slope": 0.5, "n_words": 3}}) == []
    (line,) = lines({"acme-words": {"slope": -1, "n_words": 3}})
    assert line.startswith("error: p.json#/plugins/acme-words/slope: is -1, less than 0")
    (line,) = lines({"acme-words": {"slope": 1, "n_words": "few"}})
    assert line.startswith('error: p.json#/plugins/acme-words/n_words: is "few", not a whole')


def test_an_option_that_the_package_does_not_know_is_named_once_with_all_that_it_knows():
    (line,) = lines({"acme-words": {"n_wrods": 3, "slope": 1}})
    assert line == (
        "error: p.json#/plugins/acme-words/n_wrods: is not an option (did you mean `n_words`?); "
        "use one of: slope, n_words, slow"
    )


def test_a_schema_that_does_not_speak_of_other_names_lists_all():
    (line,) = lines({"acme-words": {"slop": 3}}, [("tokenization", "words")])
    assert "/slop: is not an option (did you mean `slope`?)" in line
    (line,) = lines({"acme-words": {"eps": 3}}, [("norm_type", "plain")])
    assert "/eps: is not an option; use one of: slope" in line


@pytest.mark.parametrize("choice", [("pos_encoding", "open"), ("attention_type", "any_of")])
def test_a_schema_that_takes_any_name_takes_any_name(choice):
    assert [
        line for line in lines({"acme-open": {"anything": 1}}, [choice]) if "option" in line
    ] == []


@pytest.mark.parametrize("name", ["acme_words", "Acme-Words", "words", "wordy", "acme-wrods"])
def test_a_section_of_no_package_is_named_with_the_nearest(name):
    (line,) = lines({name: {"slope": 1}})
    assert line == (
        f"error: p.json#/plugins/{name}: is not the name of an installed package with plugins "
        "(did you mean `acme-words`?); correct it, or remove the section"
    )


def test_a_section_that_is_like_no_package_may_be_of_one_to_install():
    (line,) = lines({"zzz": {}})
    assert line.endswith("; install it: pip install zzz, or remove the section")


@pytest.mark.parametrize("name", ["mypt", "mypt-lm", "mypt_lm"])
def test_a_section_named_after_mypt_is_not_led_to_a_package_of_that_name(name):
    (line,) = lines({name: {}})
    assert "is mypt itself" in line
    assert "pip install" not in line


def test_a_section_of_a_package_that_cannot_be_used_says_why():
    assert lines({"acme-off": {"x": 1}}) == [
        "error: p.json#/plugins/acme-off: is disabled; enable it"
    ]


def test_an_option_of_what_is_not_chosen_is_a_warning():
    (line,) = lines({"acme-words": {"slope": 1, "n_words": 3}}, [("mlp_type", "leaky")])
    assert line == (
        "warning: p.json#/plugins/acme-words/n_words: has no effect: it is an option of "
        "tokenization `words`, which is not chosen; choose that, or leave it out"
    )


CLASHING = {
    **SETTINGS,
    ("norm_type", "plain"): Setting(
        "acme-words",
        {
            "properties": {
                "slope": {"type": "integer", "minimum": 0, "default": 3},
                "slow": {"type": "boolean", "description": "the same as of the tokenizer"},
            }
        },
    ),
}


def test_an_option_of_two_meanings_is_refused_where_both_would_take_it():
    both = [("mlp_type", "leaky"), ("norm_type", "plain")]
    (line,) = lines({"acme-words": {"slope": 1}}, both, CLASHING)
    assert line == (
        "error: p.json#/plugins/acme-words/slope: is an option of mlp_type `leaky` and norm_type "
        "`plain`, which do not take the same; leave it out; the author of acme-words has to "
        "rename one"
    )
    assert lines({"acme-words": {"slope": 1}}, both[:1], CLASHING) == []
    assert lines({"acme-words": {"slow": True}}, [both[1], BOTH[1]], CLASHING) == []


def test_what_one_run_may_choose_and_does_not_take_alike_is_a_clash():
    found = list_clashes("acme-words", CLASHING)
    assert found == {"slope": (("mlp_type", "leaky"), ("norm_type", "plain"))}
    assert list_clashes("acme-words", SETTINGS) == {}


def test_a_required_option_is_missed_where_the_section_is():
    settings = {**SETTINGS, BOTH[1]: Setting("acme-words", {**TRAINING, "required": ["n_words"]})}
    (line,) = lines({}, settings=settings)
    assert line.startswith("error: p.json#/plugins/acme-words/n_words: is missing")


def test_nothing_is_said_where_it_is_not_known_what_is_installed():
    assert lines({"zzz": {}}, settings={}) == []
    assert preset_problems({"plugins": {"zzz": {}}}, "p.json", {}) == []


def test_a_preset_names_what_there_is():
    preset = {
        "tokenization": "wrods",
        "gold_guards": {"overfitt": {}, "unheard_of": False},
        "log_sinks": {"consle": {}},
        "plugins": {"acme_words": {}},
    }
    found = [problem.where for problem in preset_problems(preset, "p.json", SETTINGS)]
    assert found == ["/plugins/acme_words", "/tokenization", "/gold_guards", "/log_sinks"]
    assert preset_problems({"n_layer": 3, "tokenization": "char"}, "p.json", SETTINGS) == []


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"optimizer": "acme_sgd", "optimizer_options": {"slope": 1}}, None),
        (
            {"optimizer": "acme_sdg"},
            '/optimizer: is "acme_sdg", which neither mypt nor an installed plugin provides '
            "(did you mean `acme_sgd`?); use one of: acme_sgd, adamw",
        ),
        (
            {"optimizer": "acme_sgd", "optimizer_options": {"slop": 1}},
            "/optimizer_options/slop: is not an option (did you mean `slope`?)",
        ),
        (
            {"optimizer": "acme_sgd", "optimizer_options": {"slope": -1}},
            "/optimizer_options/slope: is -1, less than 0",
        ),
        (
            {"optimizer_options": {"momentum": 0.9}},
            "/optimizer_options/momentum: is not an option; leave it out: there are no options",
        ),
    ],
)
def test_a_preset_names_an_optimizer_that_there_is_with_options_that_it_has(chosen, said):
    found = preset_problems(chosen, "p.json", SETTINGS)
    if said is None:
        assert found == []
    else:
        assert any(f"p.json#{said}" in str(problem) for problem in found)


def test_an_unknown_guard_may_be_switched_off_unless_it_is_a_slip():
    chosen = {"of_another_machine": False, "overfitt": False}
    (problem,) = unknown_name_problems("gold_guards", chosen, ["overfit"])
    said = "gold_guards: there is no gold guard `overfitt` (did you mean `overfit`?); use one of: "
    assert str(problem) == f"{said}overfit"
