"""Put models side by side: what is different about them, without loading weights."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from mypt.engine.checkpoints.paths import find_checkpoint
from mypt.format.documents.config import DERIVED
from mypt.format.documents.convert import to_document, to_recorded_document
from mypt.format.layout import count_model_parameters
from mypt.format.open import open_checkpoint, share_among

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypt.format.documents.config import GPTConfig
    from mypt.format.documents.tokenizer import TokenizerState
    from mypt.format.documents.training import TrainingState
    from mypt.format.opened import Opened
    from mypt.plugins.manager import Plugins

# Settings that are part of a field of the training state.
_PARTS = {"data_sha256": "data", "gold_step": "gold", "gold_val_loss": "gold"}


@frozen(kw_only=True)
class Side:
    """One of the models that are compared.

    Attributes:
        name: What to call it: its folder's or file's name, or its path where two have one name.
        opened: The checkpoint.
        parameters: How many; a tied matrix counts once.
        options: Options of its reader.
    """

    name: str
    opened: Opened
    parameters: int
    options: Mapping[str, Any] = field(factory=dict)

    def reopened(self, plugins: Plugins) -> Side:
        """Open it again, as it is now.

        Raises:
            FormatError: It is damaged by now.
        """
        return evolve(self, opened=open_checkpoint(self.opened.path, plugins, self.options))

    @property
    def unrecorded(self) -> frozenset[str]:
        """Names of settings that its files leave out, so that nobody knows what they were."""
        state, names = self.opened.training_state, {"config": self.opened.config.absent}
        if state is not None:
            names["training"] = _unrecorded_progress(state)
            names["training_config"] = state.training_config.absent
        return frozenset(f"{section}.{name}" for section in names for name in names[section])

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that may differ, by names such as `config.n_layer`, as JSON values.

        Those that were not recorded are left out.
        """
        model = {"format": self.opened.format, "parameters": self.parameters}
        return {
            **model,
            **_tokenizer_settings(self.opened.tokenizer),
            **_add_prefix("config", to_recorded_document(self.opened.config, versioned=False)),
            **_training_settings(self.opened.training_state),
        }


def open_sides(
    names: Iterable[str], plugins: Plugins, options: Mapping[str, Any] | None = None
) -> list[Side]:
    """Open the models, of any format.

    Args:
        names: Paths, or names of models in `checkpoints/`.
        plugins: Where parts and readers are looked up.
        options: Options of the readers of foreign checkpoints; each gets those that it has.

    Raises:
        UsageError: There is no such checkpoint, or none of the readers has one of the options.
        FormatError: One is damaged.
    """
    paths = [find_checkpoint(name) for name in names]
    told = share_among(paths, plugins.readers.values(), options or {})
    found = [open_checkpoint(p, plugins, one) for p, one in zip(paths, told, strict=True)]
    short = [opened.path.resolve().name for opened in found]
    return [
        Side(
            name=name if short.count(name) == 1 else str(opened.path),
            opened=opened,
            parameters=count_model_parameters(opened.config, plugins.layouts),
            options=one,
        )
        for name, opened, one in zip(short, found, told, strict=True)
    ]


def differing(sides: Sequence[Side]) -> dict[str, list[Any]]:
    """Return the settings that differ, each with its value in every model.

    A model without training state or tokenizer does not differ in their settings, nor does one in
    a setting that was not recorded: its value is None. Where one config sets what another derives
    by a rule, the rule's result counts.
    """
    all_settings = [side.settings for side in sides]
    rows = {}
    for name in dict.fromkeys(name for settings in all_settings for name in settings):
        section = name.partition(".")[0]
        setting = ".".join(name.split(".")[:2])
        values = [settings.get(name) for settings in all_settings]
        if not _are_equal(values):
            values = [
                _resolve(name, value, side.opened.config)
                for value, side in zip(values, sides, strict=True)
            ]
        stated = [
            value
            for value, settings, side in zip(values, all_settings, sides, strict=True)
            if name in settings
            or (
                setting not in side.unrecorded
                and any(key.startswith(f"{section}.") for key in settings)
            )
        ]
        if not _are_equal(stated):
            rows[name] = values
    return rows


def _are_equal(values: Sequence[Any]) -> bool:
    return all(value == values[0] for value in values)


def _resolve(name: str, value: Any, config: GPTConfig) -> Any:
    rule = DERIVED.get(name.removeprefix("config."))
    return getattr(config, rule) if rule is not None and value is None else value


def _add_prefix(section: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """Return members by their path; an object is flattened."""
    named = {}
    for name, value in members.items():
        place = f"{section}.{name}"
        named.update(_add_prefix(place, value) if isinstance(value, dict) else {place: value})
    return named


def _tokenizer_settings(state: TokenizerState | None) -> dict[str, Any]:
    if state is None:
        return {}
    document = to_document(state, versioned=False)
    chars, special = document["chars"], document["special_token_encoder"]
    template = document["chat_template"]
    fields = {
        **{name: value for name, value in document.items() if not isinstance(value, dict)},
        "special_tokens": document["special_tokens"],
        "chat_template": template and _summarize(template, "character"),
        "additional_chat_templates": {
            name: _summarize(one, "character")
            for name, one in document["additional_chat_templates"].items()
        },
        "chars": None if chars is None else _summarize(chars, "character"),
        "special_token_encoder": _summarize(special, "token") if special else None,
    }
    return _add_prefix("tokenizer", fields)


def _summarize(items: str | Sequence[str] | Mapping[str, int], word: str) -> str:
    """Return a count, and a digest that is equal if all items are."""
    digest = hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'} ({digest[:8]})"


def _unrecorded_progress(state: TrainingState) -> frozenset[str]:
    return state.absent | {name for name, field in _PARTS.items() if field in state.absent}


def _training_settings(state: TrainingState | None) -> dict[str, Any]:
    if state is None:
        return {}
    progress = {
        "step": state.step,
        "tokens_processed": state.tokens_processed,
        "elapsed_s": state.elapsed_s,
        "phase": state.phase,
        "exact": state.exact,
        "lineage": [f"{one.model} at step {one.step}" for one in state.lineage],
        "data": None if state.data is None else state.data.source,
        "data_sha256": None if state.data is None else state.data.sha256,
        "gold_step": None if state.gold is None else state.gold.best_step,
        "gold_val_loss": None if state.gold is None else state.gold.best_val_loss,
    }
    unknown = _unrecorded_progress(state)
    known = {name: value for name, value in progress.items() if name not in unknown}
    training = to_recorded_document(state.training_config, versioned=False)
    training.pop("model_params", None)  # MyPT's second copy of the config
    return {**_add_prefix("training", known), **_add_prefix("training_config", training)}
