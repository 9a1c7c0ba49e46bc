import pytest
from attrs import evolve

from mypt.engine.checkpoints.adapters.settings import (
    check_settings,
    ensure_same,
    settings_of,
    settle_settings,
)
from mypt.format.documents.config_parts.adapter import Adapter
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError

ADAPTER = Adapter(rank=4, alpha=6.0, targets=("q",), base="base", base_sha256="0" * 64)
USUAL = TrainingConfig()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lora_rank": 2}, "lora_rank: needs a base"),
        ({"lora_alpha": 2.0}, "lora_alpha: has no effect without lora_rank"),
        ({"lora_dropout": 0.1}, "lora_dropout: has no effect"),
        ({"lora_rank": 2, "init_from_model": "base", "shard": True}, "shard: splits"),
    ],
)
def test_settings_without_an_effect_are_refused(fields, said):
    check_settings(USUAL)
    with pytest.raises(ConfigError, match=said):
        check_settings(evolve(USUAL, **fields))


def test_a_run_goes_on_with_the_settings_of_its_adapter():
    settled = settle_settings(ADAPTER, USUAL)
    assert {name: getattr(settled, name) for name in settings_of(ADAPTER)} == settings_of(ADAPTER)
    assert settle_settings(ADAPTER, settled) == settled
    assert settle_settings(None, USUAL) == USUAL


def test_those_of_another_adapter_are_refused():
    other = evolve(USUAL, lora_rank=8)
    with pytest.raises(ConfigError, match="lora_rank: is 8, but tuned is an adapter with 4"):
        ensure_same(ADAPTER, other, "tuned")
    with pytest.raises(ConfigError, match="lora_rank: is for a model with an adapter"):
        settle_settings(None, other)
