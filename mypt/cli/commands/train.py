"""`mypt train`."""

from __future__ import annotations

import shlex
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from mypt.cli.chart_output import chart_file, print_chart, write_chart
from mypt.cli.options.conflicts import TRAIN_CONFLICTS, check_conflicts
from mypt.cli.options.fields import architecture_options, flag_names, training_options, with_default
from mypt.cli.options.flag_names import name_flags
from mypt.cli.options.groups import GroupedCommand, GroupedOption
from mypt.cli.options.no_lock import no_lock_option
from mypt.cli.options.plugins import open_plugins
from mypt.cli.options.readers import base_option, parse_options, reader_options
from mypt.cli.options.values.provided import TOKENIZATION
from mypt.cli.options.values.suggested import FILE, NEW_MODEL
from mypt.cli.standard_output import optional_output
from mypt.cli.terminal import echo
from mypt.cli.typed_command import typed_command
from mypt.engine.config.precedence import TrainRequest
from mypt.engine.config.presets import DEFAULT_TOKENIZATION
from mypt.engine.logging.activity import show_activity
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.format.errors import MyptError
from mypt.format.shards.places import holds_shards, shards_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mypt.engine.training.launch import Outcome
    from mypt.engine.training.lr_finder import RateSearch


_EACH = 8  # updates of a search, of which 25 are a power of ten, for a row of its table


class TrainCommand(GroupedCommand):
    """The command; a word without a flag is answered with the flag that it needs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            UsageError: There is a word without a flag: a model, or a preset, as nanoGPT takes it.
        """
        args = self.spell_flags(ctx, args)
        _, words, _ = self.make_parser(ctx).parse_args([*args])
        if words:
            is_preset = words[0].endswith((".json", ".py", ".yaml"))
            flag = "--config_file" if is_preset else "--model_name"
            message = f"Unexpected word '{words[0]}': write {flag} {words[0]}"
            raise click.UsageError(message, ctx)
        return super().parse_args(ctx, args)


@click.command("train", cls=TrainCommand)
@click.option(
    "--model_name",
    cls=GroupedOption,
    group="model",
    type=NEW_MODEL,
    required=True,
    help="Name of the model, its folder in checkpoints/.",
)
@reader_options(cls=GroupedOption, group="model")
@base_option(cls=GroupedOption, group="model")
@training_options
@click.option(
    "--tokenization",
    cls=GroupedOption,
    group="data",
    type=TOKENIZATION,
    help=with_default(
        "Tokenizer of a new model: char, gpt2, or a plugin's.",
        f"the preset's, or {DEFAULT_TOKENIZATION}",
    ),
)
@architecture_options
@click.option(
    "--find_lr",
    cls=GroupedOption,
    group="optimization",
    is_flag=True,
    help="Save nothing: try rising learning rates for up to 200 updates, and suggest one.",
)
@click.option(
    "--find_lr_plot",
    cls=GroupedOption,
    group="optimization",
    type=FILE,
    help="File to write the plot of --find_lr to: a page (.html) or an image (.png, .svg).",
)
@click.option(
    "--overwrite",
    cls=GroupedOption,
    group="checkpoints",
    is_flag=True,
    help="Replace copies (gold, fp16, snapshots) of another run or model that are in the way.",
)
@click.option(
    "--fall_back",
    cls=GroupedOption,
    group="checkpoints",
    is_flag=True,
    help="Where the saved model is damaged, go on from its newest whole copy; nothing is deleted.",
)
@no_lock_option(cls=GroupedOption, group="checkpoints")
@name_flags()
@optional_output()
def command(
    model_name: str,
    tokenization: str | None,
    *,
    find_lr: bool,
    find_lr_plot: str | None,
    overwrite: bool,
    fall_back: bool,
    no_lock: bool,
    options: tuple[str, ...],
    base: str | None,
    **flags: Any,
) -> int:
    """Train a new model, or resume a saved one.

    Run the same command again to resume. A preset overrides architecture flags, and a saved model
    keeps its own architecture. Training flags override both, as do --batch_size, --dropout and
    --device. An option in --plugins overrides that of a preset.
    """
    check_conflicts(click.get_current_context(), TRAIN_CONFLICTS)
    target = None if find_lr_plot is None else chart_file(find_lr_plot, "--find_lr_plot")
    with show_activity("Loading PyTorch"):
        from mypt.engine.training.launch import run_training

    given = {name: value for name, value in flags.items() if value is not None}
    request = TrainRequest(
        model_name=model_name,
        architecture={k: v for k, v in given.items() if k in flag_names(GPTConfig)},
        training={k: v for k, v in given.items() if k in flag_names(TrainingConfig)},
        tokenization=tokenization,
        options=parse_options(options),
        overwrite=overwrite,
        fall_back=fall_back,
        no_lock=no_lock,
        find_lr=find_lr,
        base=base,
        command=typed_command(),
    )
    if find_lr:
        return _search_rate(request, target)
    with saying_what_is_saved(request):
        return report_outcome(run_training(request, open_plugins()), request, options)


def _search_rate(request: TrainRequest, target: Path | None) -> int:
    """Search a learning rate, report it, and return the exit code."""
    from mypt.engine.training.launch import search_learning_rate

    search = search_learning_rate(request, open_plugins(), report=echo)
    if search is None:  # another process of the run reports
        return 0
    for line in describe_search(search):
        echo(line)
    if len(search.rates) > 1:
        from mypt.plotting.rate_chart import chart_search

        chart = chart_search(search, request.model_name)
        if target is None:
            print_chart(chart)
        else:
            write_chart(chart, (), target)
    return 0


def describe_search(search: RateSearch) -> Iterator[str]:
    """Yield the lines of a search: a table of about three rows per power of ten, and what to do."""
    yield f"{'learning rate':>13}  {'loss':>8}"
    for rate, loss in [*zip(search.rates, search.losses, strict=True)][::_EACH]:
        yield f"{rate:13.2e}  {loss:8.4f}"
    if search.has_exploded:
        yield f"Beyond {search.rates[-1]:.2e} the loss explodes"
    if search.suggestion is None:
        yield "No learning rate made the loss fall: give more data, or look for what is wrong"
        return
    yield (
        f"Suggested: --learning_rate {search.suggestion:.1e}, where the loss falls steepest (the "
        f"rule `steep` of fastai); it is lowest at {search.lowest:.1e}"
    )


@contextmanager
def saying_what_is_saved(request: TrainRequest) -> Iterator[None]:
    """Say of a run that is ended on the spot, by a second Ctrl-C, which save is there."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(MyptError, OSError):  # the next run says what is wrong with the save
            _say_what_is_saved(request)
        raise


def _say_what_is_saved(request: TrainRequest) -> None:
    from mypt.engine.checkpoints.paths import model_dir
    from mypt.engine.checkpoints.recovery.condition import read_recorded_state
    from mypt.engine.checkpoints.sharded.newest_save import find_newest
    from mypt.engine.runtime.world import launched_as
    from mypt.format.shards.record import read_state

    rank, world_size = launched_as()
    if rank > 0:  # torchrun interrupts all processes of a run
        return
    folder = model_dir(request.model_name)
    newest = find_newest(folder).path
    state = read_recorded_state(folder) if newest == folder else read_state(newest)
    step = state.get("step")
    if step is not None:
        again = _resume_command(request, world_size)
        echo(f"Ended on the spot; {newest} is as it was saved at step {step}. To resume: {again}")


def _resume_command(request: TrainRequest, world_size: int) -> str:
    """Return the command that goes on with a run in as many processes."""
    launcher = f"torchrun --nproc-per-node={world_size} -m " if world_size > 1 else ""
    flag = " --no_lock" if request.no_lock else ""
    return f"{launcher}mypt train --model_name {shlex.quote(request.model_name)}{flag}"


def report_outcome(outcome: Outcome, request: TrainRequest, options: Sequence[str] = ()) -> int:
    """Print how a run ended, and return the exit code.

    Args:
        outcome: How it ended.
        request: What was asked for.
        options: Words of `--option`.
    """
    if not outcome.is_main:
        return 0 if outcome.complete else 1
    state, environment = outcome.state, outcome.state.environment
    again = _resume_command(request, 1 if environment is None else environment.world_size)
    if not outcome.trained:  # so that what was opened is still as its program wrote it
        again += "".join(f" --option {shlex.quote(option)}" for option in options)
        for notice in outcome.notices:
            echo(notice)
        echo(f"{outcome.folder} is at step {state.step} {explain_no_work(state, again)}")
        return 0
    if not outcome.complete:
        echo(f"Stopped at step {state.step}; everything is saved. To resume: {again}")
        shards = shards_path(outcome.folder)
        if holds_shards(shards):
            echo(f"It is saved in parts; to make a bundle of it: mypt format migrate {shards}")
        return 1

    echo("\n".join(closing_summary(state, outcome.folder)))
    return 0


def explain_no_work(state: TrainingState, again: str) -> str:
    """Return why a run has nothing left to do, and the command with which it would go on.

    Args:
        state: Where it is, with the hyperparameters that were asked for.
        again: The command that went on with the run.
    """
    from mypt.engine.stopping.ends import list_ends

    last, ends = state.training_config.max_iters, list_ends(state)
    place = f"of {last}" if state.step <= last else f"already, beyond max_iters {last}"
    reached = "; ".join(end.what for end in ends if end.field != "max_iters")
    why = f", where {reached}" if reached else ""
    flags = " ".join(f"--{end.field} {end.further}" for end in ends)
    return f"{place}{why}: nothing to do. To go on: {again} {flags}"


def closing_summary(state: TrainingState, folder: Path) -> list[str]:
    """Return the lines that say where the models of a finished run are."""
    from mypt.engine.checkpoints.copies import find_copy
    from mypt.format.bundle.copy_name import CopyKind

    half = find_copy(folder, CopyKind.FP16, state.run_id)
    lines = ["Training finished!", f"  Resume training from: {folder}"]
    lines += [] if half is None else [f"  Deploy inference from: {half}"]
    mean = find_copy(folder, CopyKind.EMA, state.run_id) if state.training_config.ema else None
    lines += [] if mean is None else [f"  Mean of the weights: {mean}"]
    gold = state.gold
    if gold is not None and gold.best_val_loss is not None:
        name = state.training_config.gold_loss_name
        where = f"step {gold.best_step}, {name}={gold.best_val_loss:.4f}"
        place = find_copy(folder, CopyKind.GOLD, state.run_id)
        if place is not None:
            lines.append(f"  Best (GOLD) checkpoint: {place} ({where})")
        else:  # it stayed behind when the model was copied or renamed
            place = CopyKind.GOLD.path(folder)
            lines.append(f"  No GOLD checkpoint in {place}: none was better than before ({where})")
    elif gold is not None and gold.decision is not None and gold.decision.reasons:
        why = "; ".join(gold.decision.reasons)
        lines.append(f"  No GOLD checkpoint; what blocked it at step {gold.decision.step}: {why}")
    return lines
