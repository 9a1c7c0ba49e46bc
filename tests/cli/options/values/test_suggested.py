import click
import pytest

from mypt.cli.options.values.suggested import MODEL, PRESET, SuggestedText

COMMAND = click.Command("x")


def suggest(kind, start):
    items = kind.shell_complete(click.Context(COMMAND), click.Argument(["x"]), start)
    return [(item.type, item.value) for item in items]


def test_values_that_begin_alike_are_suggested():
    assert suggest(SuggestedText(lambda: ("ab", "ac", "b")), "a") == [
        ("plain", "ab"),
        ("plain", "ac"),
    ]


def test_paths_come_first_since_bash_forgets_what_is_before_them():
    assert suggest(SuggestedText(lambda: ("a",), paths="dir"), "") == [("dir", ""), ("plain", "a")]


def test_a_value_that_is_not_suggested_is_taken_and_an_empty_one_is_not():
    kind = SuggestedText(lambda: ("a",))
    assert kind.convert("b", None, None) == "b"
    with pytest.raises(click.BadParameter, match="must not be empty"):
        kind.convert("", None, None)


def test_models_are_folders_with_a_config_or_weights_and_files_of_weights(in_tmp):
    for name, file in (("m", "config.json"), ("old", "x.pt"), ("data", "dataset.json")):
        (in_tmp / "checkpoints" / name).mkdir(parents=True)
        (in_tmp / "checkpoints" / name / file).touch()
    (in_tmp / "checkpoints" / "one.pt").touch()
    assert suggest(MODEL, "")[1:] == [("plain", "m"), ("plain", "old"), ("plain", "one.pt")]


def test_every_preset_is_suggested_by_a_name_that_means_it(plugins):
    from mypt.engine.config.presets import read_preset, shipped_presets

    names = [value for kind, value in suggest(PRESET, "") if kind == "plain"]
    assert len(names) == len(shipped_presets())
    assert len({read_preset(name, plugins.layouts).name for name in names}) > 1
