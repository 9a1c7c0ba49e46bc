"""The digest of the settings of a run, by which others can tell whether two had the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mypt.format.documents.convert import to_recorded_document
from mypt.format.schema.canonical_json import dump_canonical
from mypt.format.schema.check import load_schema

if TYPE_CHECKING:
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
        "config": _pick_settings(config, load_schema("config")),
        "training_config": _pick_settings(
            training, load_schema("training_state")["$defs"]["training_config"]
        ),
    }
    return hashlib.sha256(dump_canonical(settings)).hexdigest()


def _pick_settings(document: GPTConfig | TrainingConfig, schema: Mapping[str, Any]) -> Any:
    members = to_recorded_document(document, versioned=False)
    return _pick_set({k: v for k, v in members.items() if k not in _OF_A_RUN}, schema)


def _pick_set(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value without the members, at any depth, that have the default of their schema.

    What the schema does not describe stays as it is. Numbers are floats where it asks for no
    integer, so that they are written alike whether or not they were read as a whole number.
    """
    if isinstance(value, Mapping):
        properties, required = schema.get("properties", {}), schema.get("required", ())
        return {
            name: _pick_set(member, known)
            for name, member in value.items()
            if "default" not in (known := properties.get(name, {}))
            or name in required
            or member != known["default"]
        }
    if isinstance(value, list | tuple):
        return [_pick_set(item, schema.get("items", {})) for item in value]
    return float(value) if type(value) is int and "integer" not in schema.get("type", ()) else value
