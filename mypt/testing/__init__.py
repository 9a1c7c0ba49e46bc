"""Checks for the test suite of a plugin, with or without pytest.

`registered` registers a plugin as mypt does. Each check takes a factory as the plugin offers it,
and raises a `ContractError`, an `AssertionError`, that says what the plugin does wrong.
"""

from __future__ import annotations

from mypt.testing.commands import check_command
from mypt.testing.expectations import ContractError
from mypt.testing.guards import check_guard
from mypt.testing.logit_processors import check_logit_processor
from mypt.testing.optimizers import check_optimizer
from mypt.testing.parts.model import TINY, check_part
from mypt.testing.readers import check_reader
from mypt.testing.registration import registered
from mypt.testing.sinks import check_sink
from mypt.testing.speed import TokenizerSpeed, measure_tokenizer
from mypt.testing.tokenizers import check_tokenizer
from mypt.testing.training.data_sources import check_data_source
from mypt.testing.training.losses import check_loss
from mypt.testing.training.schedules import check_schedule
from mypt.testing.updates import check_update

__all__ = [
    "TINY",
    "ContractError",
    "TokenizerSpeed",
    "check_command",
    "check_data_source",
    "check_guard",
    "check_logit_processor",
    "check_loss",
    "check_optimizer",
    "check_part",
    "check_reader",
    "check_schedule",
    "check_sink",
    "check_tokenizer",
    "check_update",
    "measure_tokenizer",
    "registered",
]
