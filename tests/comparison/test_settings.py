import shutil

from mypt.comparison.settings import differing, open_sides


def test_equal_models_differ_in_nothing(model, plugins):
    name = model("a")
    assert differing(open_sides([name, name], plugins)) == {}


def test_only_what_differs_is_listed(model, plugins):
    sides = open_sides([model("a"), model("b", n_layer=2, seed=2)], plugins)
    assert [side.name for side in sides] == ["a", "b"]
    rows = differing(sides)
    assert rows["config.n_layer"] == [1, 2]
    assert rows["training_config.learning_rate"] == [0.1, 0.2]
    assert rows["parameters"][0] < rows["parameters"][1]
    assert set(rows) == {"parameters", "config.n_layer", "training_config.learning_rate"}


def test_a_rule_and_the_same_value_in_words_are_no_difference(model, plugins):
    sides = open_sides([model("a"), model("b", mlp_hidden=64, attn_scale=8**-0.5)], plugins)
    assert differing(sides) == {}
    sides = open_sides([model("a"), model("c", mlp_hidden=32)], plugins)
    assert differing(sides)["config.mlp_hidden"] == [64, 32]


def test_vocabularies_of_one_size_are_told_apart(model, plugins):
    sides = open_sides([model("a", text="abcd"), model("b", text="abce")], plugins)
    values = differing(sides)["tokenizer.chars"]
    assert values[0] != values[1]
    assert all(value.startswith("4 characters") for value in values)


def test_a_missing_training_state_is_no_difference(model, plugins, tmp_path):
    name = model("a")
    shutil.copytree(name, tmp_path / "bare")
    for file in ("training_state.json", "manifest.json"):
        (tmp_path / "bare" / file).unlink()
    sides = open_sides([name, str(tmp_path / "bare")], plugins)
    assert differing(sides) == {}
    assert not any(setting.startswith("training") for setting in sides[1].settings)


def test_models_of_one_name_are_called_by_their_paths(model, plugins, tmp_path):
    name = model("a")
    shutil.copytree(name, tmp_path / "other" / "a")
    sides = open_sides([name, str(tmp_path / "other" / "a")], plugins)
    assert [side.name for side in sides] == [name, str(tmp_path / "other" / "a")]


def test_old_formats_are_compared_with_new_ones(fixtures, plugins, bundle):
    old = fixtures / "mypt" / "legacy_latest_char"
    rows = differing(open_sides([str(old), str(bundle)], plugins))
    assert rows["format"] == ["mypt_file", "2.0"]
