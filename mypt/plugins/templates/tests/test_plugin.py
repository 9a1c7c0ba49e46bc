import tomllib
from pathlib import Path

import pytest
from mypt.plugins import Evaluation, GuardFactory
from mypt.testing import check_guard, registered

import mypt_starter.plugin


@pytest.fixture
def factory() -> GuardFactory:
    return registered(mypt_starter.plugin).guards["starter"]


def reason(factory: GuardFactory, limit: float, val_loss: float) -> str | None:
    guard = factory.build({"limit": limit})
    return guard(Evaluation(step=100, train_loss=1.0, val_loss=val_loss), {}).reason


def test_a_model_below_the_limit_passes(factory: GuardFactory) -> None:
    assert reason(factory, 3.0, 2.9) is None


def test_a_model_above_the_limit_is_blocked(factory: GuardFactory) -> None:
    assert "above 3.0" in str(reason(factory, 3.0, 3.1))


def test_it_keeps_the_contract_of_guards(factory: GuardFactory) -> None:
    check_guard(factory)
    check_guard(factory, {"limit": 2.4})


def test_the_entry_point_names_the_plugin() -> None:
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    entry_points = tomllib.loads(text)["project"]["entry-points"]["mypt"]
    assert entry_points == {"mypt_starter": mypt_starter.plugin.__name__}
