import math
import typing

import attrs
import pytest

from mypt.engine.config.overrides import build_config, override_training
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError
from mypt.format.layout import BUILT_IN


def float_fields(cls):
    hints = typing.get_type_hints(cls)
    names = [a.name for a in attrs.fields(cls)]
    return [name for name in names if float in (hints[name], *typing.get_args(hints[name]))]


def check(cls, fields):
    if cls is GPTConfig:
        return build_config(fields, BUILT_IN)
    return override_training(fields, TrainingConfig())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, name) for cls in (GPTConfig, TrainingConfig) for name in float_fields(cls)],
)
def test_no_number_may_be_other_than_finite(cls, name, value):
    is_map = name == "gold_metric"
    with pytest.raises(ConfigError) as refused:
        check(cls, {name: {"val": value} if is_map else value})
    where = f"{name}/val" if is_map else name
    assert str(refused.value) == f"{where}: is {value}; write a finite number"


def test_options_of_plugins_must_be_finite_too():
    with pytest.raises(ConfigError, match=r"^log_sinks/mine/each/1: is nan; write"):
        override_training({"log_sinks": {"mine": {"each": (1.0, math.nan)}}}, TrainingConfig())
