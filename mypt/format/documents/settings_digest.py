"""The digest of the settings of a run, by which others can tell whether two had the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from mypt.format.documents.convert import to_recorded_document
from mypt.format.schema.canonical_json import dump_canonical
from mypt.format.schema.check import load_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.training import TrainingConfig

# What differs between runs of the same settings: the machine, where it began, where it logs; and
# what follows from the others once it is saved.
_OF_A_RUN = frozenset({"format_version", "requires", "device", "start_step", "log_file"})


def digest_settings(config: GPTConfig, training: TrainingConfig) -> str:
    """Return the SHA-256 of the settings of a run, as section 6.8 of the specification defines it.

    Args:
        config: Its architecture.
        training: Its hyperparameters.
    """
    settings = {
        "config": _pick_set(config, load_schema("config")),
        "training_config": _pick_set(
            training, load_schema("training_state")["$defs"]["training_config"]
        ),
    }
    return hashlib.sha256(dump_canonical(settings)).hexdigest()


def _pick_set(document: GPTConfig | TrainingConfig, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that have another value than their default."""
    properties = schema["properties"]
    return {
        name: value
        for name, value in to_recorded_document(document, versioned=False).items()
        if name not in _OF_A_RUN
        and not ("default" in (known := properties.get(name, {})) and value == known["default"])
    }
