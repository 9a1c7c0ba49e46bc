"""`mypt compare`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.options.command import Command
from mypt.cli.options.conflicts import COMPARE_CONFLICTS, check_conflicts
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import parse_options, reader_options
from mypt.cli.options.sampling import sampling_option
from mypt.cli.options.text import PROMPT
from mypt.cli.options.values.suggested import DEVICE, FILE, FOLDER, MODEL
from mypt.cli.tables import Grid, fit_either_way, fit_tables, plain_cell
from mypt.cli.terminal import echo_json
from mypt.format.errors import escape_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from mypt.comparison.results import HeldOut, Result
    from mypt.comparison.settings import Side
    from mypt.engine.inference.scoring import Score
    from mypt.plugins.manager import Plugins

_PIPE_WIDTH, _MAX_VALUE, _LEAST_TEXT = 120, 80, 30
_DIGITS = 8  # of a digest; --json has all


@click.command("compare", cls=Command)
@click.argument("models", type=MODEL, nargs=-1, required=True, metavar="MODEL MODEL...")
@reader_options()
@click.option("--input_file", type=FILE, help="Text to score all models on.")
@click.option(
    "--dataset_dir", type=FOLDER, help="Data set whose validation split all models are scored on."
)
@click.option(
    "--prompt",
    type=PROMPT,
    help="Text for every model to continue; an empty one starts a new text.",
)
@click.option(
    "--max_new_tokens", default=200, show_default=True, help="Maximum number of tokens to add."
)
@sampling_option(
    "temperature", float, "Randomness of sampling; 0 always takes the most likely token."
)
@sampling_option("seed", int, "Random seed; the same seed gives the same text.")
@click.option("--device", type=DEVICE, help="Device to use; by default the fastest available.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with all settings.")
@click.pass_context
@name_flags()
def command(
    context: click.Context,
    /,
    models: tuple[str, ...],
    options: tuple[str, ...],
    input_file: str | None,
    dataset_dir: str | None,
    prompt: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Compare the settings of models, and their losses on one text.

    Settings that differ are always listed. With --input_file or --dataset_dir, all models are
    scored on the same text; with --prompt, all continue the same prompt.
    """
    if len(models) < 2:
        message = "only one model is given; give at least two"
        raise click.UsageError(message)
    check_conflicts(context, COMPARE_CONFLICTS)
    from mypt.comparison.settings import differing, open_sides

    if input_file is not None and dataset_dir is not None:
        message = "--input_file and --dataset_dir cannot be used together; give one of them"
        raise click.UsageError(message)
    plugins = open_plugins()
    sides = open_sides(models, plugins, parse_options(options))
    held_out: HeldOut | None = None
    results: list[Result] = []
    if input_file is not None or dataset_dir is not None or prompt is not None:
        held_out = _open_held_out(input_file, dataset_dir, plugins)
        results = _run_models(sides, plugins, held_out, prompt, **chosen)
        sides = [result.side for result in results]
    rows = differing(sides)
    if as_json:
        report = _make_report(sides, rows, held_out, results, prompt)
        echo_json(report)
    else:
        _print_tables(sides, rows, held_out, results, prompt)


def _open_held_out(
    input_file: str | None, dataset_dir: str | None, plugins: Plugins
) -> HeldOut | None:
    from mypt.comparison.results import text_of_data_set, text_of_file

    if input_file is not None:
        return text_of_file(input_file)
    return None if dataset_dir is None else text_of_data_set(dataset_dir, plugins)


def _run_models(
    sides: Sequence[Side],
    plugins: Plugins,
    held_out: HeldOut | None,
    prompt: str | None,
    *,
    device: str | None,
    max_new_tokens: int,
    **sampling: Any,
) -> list[Result]:
    from mypt.comparison.results import try_models
    from mypt.engine.runtime.devices import choose_device
    from mypt.model.decoding.sampling_options import Sampling

    tried = try_models(
        sides,
        plugins,
        choose_device(device),
        held_out=held_out,
        prompt=prompt,
        max_new_tokens=max_new_tokens,
        sampling=Sampling(**{k: v for k, v in sampling.items() if v is not None}),
    )
    return list(tried)


def _make_report(
    sides: Sequence[Side],
    rows: dict[str, list[Any]],
    held_out: HeldOut | None,
    results: Sequence[Result],
    prompt: str | None,
) -> dict[str, Any]:
    tried: Sequence[Result | None] = results or [None] * len(sides)
    models = [
        {
            "name": side.name,
            "path": str(side.opened.path),
            "settings": side.settings,
            "score": None
            if result is None or result.score is None
            else _describe_score(result.score),
            "continuation": None if result is None else result.continuation,
        }
        for side, result in zip(sides, tried, strict=True)
    ]
    text = None
    if held_out is not None:
        text = {
            "source": held_out.source,
            "size_bytes": held_out.size_bytes,
            "sha256": held_out.sha256,
        }
    return {"models": models, "differing": rows, "held_out": text, "prompt": prompt}


def _describe_score(score: Score) -> dict[str, float | int | None]:
    losses = {name: getattr(score, name) for name in ("bits_per_byte", "loss", "perplexity")}
    return {
        **{name: loss if math.isfinite(loss) else None for name, loss in losses.items()},
        "tokens": len(score.losses),
        "block_size": score.block_size,
        "stride": score.stride,
    }


def _print_tables(
    sides: Sequence[Side],
    rows: dict[str, list[Any]],
    held_out: HeldOut | None,
    results: Sequence[Result],
    prompt: str | None,
) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    parts: list[Table | str] = ["All settings are equal."]
    if rows:
        parts = [*fit_either_way(_settings_grid(sides, rows), console.width)]
    parts += [
        f"{side.name} has no training state, so its training settings are unknown"
        for side in sides
        if side.opened.training_state is None
    ]
    if held_out is not None:
        scores = fit_tables(_score_grid(sides, held_out, results), console.width)
        parts += ["", *scores, *_list_remarks(sides, results)]
    if prompt is not None:
        parts += ["", _text_table(sides, prompt, results, console.width)]
    for part in parts:
        shown = escape_controls(part) if isinstance(part, str) else part
        console.print(shown, markup=False, highlight=False)


def _settings_grid(sides: Sequence[Side], rows: dict[str, list[Any]]) -> Grid:
    return Grid(
        title="Settings that differ",
        heads=("", *(side.name for side in sides)),
        rows=tuple(
            (name, *(_format_value(value, name) for value in values))
            for name, values in rows.items()
        ),
    )


def _format_value(value: object, name: str) -> str:
    if isinstance(value, str) and name.endswith("sha256"):
        return value[:_DIGITS]
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 3] + "..."


def _score_grid(sides: Sequence[Side], held_out: HeldOut, results: Sequence[Result]) -> Grid:
    scores = [result.score for result in results if result.score is not None]
    finite = [score.bits_per_byte for score in scores if math.isfinite(score.bits_per_byte)]
    best = min(finite, default=None)
    return Grid(
        title=f"Losses on {held_out.source} ({held_out.size_bytes:,} bytes)",
        heads=("", "bits per byte", "nats per token", "tokens", "block_size", "stride"),
        rows=tuple(
            (
                side.name,
                f"{score.bits_per_byte:.4f}{' *' if score.bits_per_byte == best else '  '}",
                f"{score.loss:.4f}  ",
                f"{len(score.losses):,}",
                f"{score.block_size:,}",
                f"{score.stride:,}",
            )
            for side, score in zip(sides, scores, strict=True)
        ),
    )


def _list_remarks(sides: Sequence[Side], results: Sequence[Result]) -> list[str]:
    lines = ["* lowest. Each token but the first was scored once, in overlapping windows."]
    tokenizers = [side.opened.tokenizer for side in sides]
    if any(tokenizer != tokenizers[0] for tokenizer in tokenizers):
        lines.append("The tokenizers differ: compare bits per byte, not nats per token.")
    if len({result.score.block_size for result in results if result.score}) > 1:
        lines.append("The block sizes differ: a model with a larger one sees more context.")
    return lines


def _text_table(sides: Sequence[Side], prompt: str, results: Sequence[Result], width: int) -> Table:
    """Return the continuations side by side; where they are too narrow, below one another."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    texts = [Text(plain_cell(prompt + (result.continuation or ""))) for result in results]
    names = [Text(plain_cell(side.name)) for side in sides]
    table = Table(title="Continuations", box=box.SIMPLE_HEAD, title_justify="left")
    if width // len(sides) >= _LEAST_TEXT:
        for name in names:
            table.add_column(name, overflow="fold", ratio=1)
        table.add_row(*texts)
        return table
    table.add_column("", overflow="fold", max_width=width // 3)
    table.add_column("", overflow="fold")
    for name, text in zip(names, texts, strict=True):
        table.add_row(name, text, end_section=True)
    return table
