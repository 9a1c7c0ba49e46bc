"""What the page shows of a model: how it is built, how it was trained, and its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mypt
from mypt.engine.humanize import short_count
from mypt.plotting.chart import chart_of
from mypt.plotting.find_log import read_runs
from mypt.plotting.html_page import draw_panel
from mypt.plugins import MyptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypt.plugins.manager import Plugins

_SVG = "http://www.w3.org/2000/svg"
# Fields by section; nothing else is shown, so that no path and no name of a person is.
_CONFIG = (
    *("n_layer", "n_head", "n_embd", "block_size", "vocab_size", "pos_encoding", "mlp_type"),
    "norm_type",
)
_TRAINING = ("optimizer", "learning_rate", "lr_schedule", "batch_size", "max_iters", "loss")


def describe_model(name: str, plugins: Plugins) -> dict[str, str]:
    """Return the facts on a model, each with its name.

    Args:
        name: A path, or the name of a model.
        plugins: What is installed.
    """
    return dict(_list_facts(mypt.get_model_info(name, plugins=plugins)))


def draw_losses(name: str, plugins: Plugins) -> dict[str, Any] | None:
    """Return the losses of a model's run: as an `svg`, with a `legend` of labels and colours.

    None where its log is not here, or broken.
    """
    try:
        chart = chart_of(read_runs([name], plugins))
    except (MyptError, OSError):
        return None
    legend = [{"label": line.label, "colour": line.colour} for line in chart.panels[0].lines]
    drawing = draw_panel(chart, 0).replace("<svg ", f'<svg xmlns="{_SVG}" ', 1)
    return {"svg": drawing, "legend": legend}


def _list_facts(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    config, state = info["config"] or {}, info["training_state"] or {}
    yield "parameters", short_count(info["parameters"])
    for field in _CONFIG:
        if config.get(field) is not None:
            yield field, str(config[field])
    kind = (info["tokenizer"] or {}).get("token_kind")
    if kind:
        yield "tokens", str(kind)
    if info["step"] is not None:
        yield "step", f"{info['step']:,}"
    if state.get("tokens_processed"):
        yield "tokens trained on", short_count(state["tokens_processed"])
    if info["best_loss"] is not None:
        yield "best validation loss", f"{info['best_loss']:.4f}"
    training = state.get("training_config") or {}
    for field in _TRAINING:
        if training.get(field) is not None:
            yield field, str(training[field])
