"""What a bundle in some condition still serves for."""

from pathlib import Path

import pytest
from attrs import evolve

from mypt.engine.checkpoints.recovery import condition
from mypt.engine.checkpoints.recovery.condition import examine_condition, read_recorded_state
from mypt.format.errors import Problem
from tests.support.damage import cut, flip

CAT = Path("checkpoints/cat")


def examine(plugins):
    found = examine_condition(CAT, plugins)
    return found.can_generate, found.can_train, found.doubts


def test_a_whole_bundle_serves_for_everything(run, plugins):
    assert examine(plugins) == (True, True, ())


@pytest.mark.parametrize(
    ("name", "damage", "can_generate"),
    [
        ("model.pt", flip, False),
        ("config.json", cut, False),
        ("tokenizer.json", cut, False),
        ("tokenizer.json", Path.unlink, True),
        ("optimizer.pt", flip, True),
        ("training_state.json", cut, True),
        ("training_state.json", Path.unlink, True),
    ],
)
def test_what_training_alone_needs_is_no_matter_to_inference(
    name, damage, can_generate, run, plugins
):
    damage(CAT / name)
    assert examine(plugins)[:2] == (can_generate, False)
    assert examine_condition(CAT, plugins).damage


def test_without_the_optimizer_training_goes_on_but_not_exactly(run, plugins):
    (CAT / "optimizer.pt").unlink()
    assert examine(plugins) == (True, True, ("there is no optimizer state",))
    assert examine_condition(CAT, plugins).damage


def test_an_edit_is_a_doubt_and_no_damage(run, plugins):
    path = CAT / "config.json"
    path.write_text(path.read_text().replace('"dropout": 0.2', '"dropout": 0.1'))
    assert examine(plugins) == (True, True, ("config.json was edited after the save at /dropout",))
    assert not examine_condition(CAT, plugins).damage


@pytest.mark.parametrize("lost", [(), ("training_state.json",), ("manifest.json",)])
def test_the_state_is_found_wherever_it_is_recorded(lost, run):
    for name in lost:
        cut(CAT / name)
    assert read_recorded_state(CAT)["step"] == 8


def test_nothing_is_known_of_what_is_nowhere(in_tmp):
    assert read_recorded_state(in_tmp / "none") == {}


def test_what_cannot_be_read_at_the_second_look_is_a_problem_too(run, plugins, monkeypatch):
    look, looks = condition.read_bundle, []

    def read_bundle(folder, *args):
        looks.append(folder)
        bundle = look(folder, *args)
        flaw = Problem(str(folder / "optimizer.pt"), "", "cannot be read", "check the disk")
        return evolve(bundle, flaws=(flaw,))

    monkeypatch.setattr(condition, "read_bundle", read_bundle)
    assert examine(plugins)[:2] == (True, False)
    assert looks
    assert "cannot be read" in str(examine_condition(CAT, plugins).damage[0])
