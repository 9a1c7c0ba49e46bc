"""Whether a resumed run continues bit for bit, and if not, why."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

from mypt.engine.language_model import find_model_requirements
from mypt.engine.runtime.git import read_git_state
from mypt.format.documents.provenance import Provenance, describe_git
from mypt.format.documents.settings_digest import digest_settings
from mypt.format.documents.training import Environment
from mypt.format.errors import format_count
from mypt.format.rules.requirements import list_version_changes
from mypt.format.storage.recorded_paths import record_words
from mypt.format.version import MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from mypt.engine.language_model import LanguageModel
    from mypt.format.documents.training import DataFingerprint, TrainingConfig, TrainingState

# Names and paths, what is measured and what is kept: none of it changes a weight. The versions of
# plugins do, and are compared one by one.
_HARMLESS = frozenset(
    {
        "absent",
        "activation_checkpointing",
        "chat_template",
        "config_file",
        "data_options",
        "data_source",
        "dataset_dir",
        "ema",
        "eval_dataset_dir",
        "eval_interval",
        "eval_iters",
        "eval_sets",
        "extra",
        "gold_guards",
        "gold_metric",
        "init_from_model",
        "input_file",
        "keep_snapshots",
        "log_file",
        "log_interval",
        "log_sinks",
        "max_minutes",
        "max_tokens",
        "plugins",
        "save_interval",
        "save_minutes",
        "snapshot_interval",
        "special_tokens",
        "start_step",
        "stop_after_evals_without_gain",
        "target_loss",
        "terminate_on_nan",
        "val_file",
    }
)
# The state of an optimizer names the optimizer, and has been made with its options; where another
# optimizer goes on, one reason says what of the state does.
_SAID_ELSEWHERE = frozenset({"optimizer", "optimizer_options"})


def environment_of(
    model: LanguageModel, training: TrainingConfig, world_size: int = 1
) -> Environment:
    """Describe what computes a run: hardware, torch, mypt and the plugins that the run needs.

    Floating-point sums depend on their order, and each version may have another.

    Args:
        model: The model, on its device.
        training: Hyperparameters of the run.
        world_size: Processes that train together.
    """
    device = next(model.parameters()).device
    if device.type == "cuda":
        name, threads = torch.cuda.get_device_name(device), 0
    elif device.type == "cpu":
        name, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    else:
        name, threads = device.type, 0
    return Environment(
        torch=torch.__version__,
        device=device.type,
        device_name=name,
        threads=threads,
        world_size=world_size,
        mypt=MYPT_VERSION,
        plugins=find_model_requirements(model, training).plugins,
    )


def provenance_of(
    model: LanguageModel,
    training: TrainingConfig,
    command: Iterable[str] | None,
    start_step: int,
) -> Provenance:
    """Describe how a run is started, beyond its environment.

    Args:
        model: The model, of which only the config is looked at.
        training: Hyperparameters of the run.
        command: The words of the command line; None without one.
        start_step: The step that it begins from.
    """
    return Provenance(
        start_step=start_step,
        command=None if command is None else record_words(command),
        versions={"python": platform.python_version()},
        git=read_git_state(Path()),
        config_sha256=digest_settings(model.config, training),
    )


def list_differences(before: TrainingState, after: TrainingState) -> list[str]:
    """List why a run that does the same as another one from its beginning may end otherwise.

    Args:
        before: The last state of the other run.
        after: The first state of this one.
    """
    changes = [
        *_list_changes(before.environment, after.environment),
        *_list_plugin_changes(before.environment, after.environment),
        *_list_provenance_changes(before.provenance, after.provenance),
    ]
    found = [f"{name} was {was}, and is {now}" for name, was, now in changes]
    was, now = before.data, after.data
    if was is not None and now is not None and was.sha256 != now.sha256:
        found.append(f"the data changed ({_describe_data_change(was, now)})")
    bases = [[one.sha256 for one in state.lineage] for state in (before, after)]
    if bases[0] != bases[1]:
        found.append("the model that it begins with has other weights now")
    return [*found, *_list_deviations(before)]


def _list_provenance_changes(
    before: Provenance | None, after: Provenance | None
) -> Iterator[tuple[str, object, object]]:
    if before is None or after is None:
        return
    for name in sorted({**before.versions, **after.versions}):
        was, now = before.versions.get(name), after.versions.get(name)
        if was != now:
            yield name, was, now
    if before.git != after.git:
        yield "git", describe_git(before.git), describe_git(after.git)
    if before.config_sha256 != after.config_sha256:
        yield "config_sha256", before.config_sha256, after.config_sha256


def _list_deviations(state: TrainingState) -> Iterator[str]:
    """Yield why not all of its steps were those of the last run from its beginning."""
    last = state.provenance
    runs = (*state.earlier_runs, *(() if last is None else (last,)))
    known = {run.config_sha256 for run in runs}
    if None in known or not runs or runs[0].start_step > 0:
        yield "some of its steps were made by runs of which nothing is recorded"
    if len(known - {None}) > 1:
        yield "its settings changed when it was resumed; now those of its last run hold throughout"
    yield from (f"it was not exact since {reason}" for reason in state.inexact_reasons)


def inexact_reasons(
    previous: TrainingState,
    state: TrainingState,
    *,
    fresh: tuple[int, int],
    doubts: Iterable[str] = (),
    harmless: Collection[str] = (),
) -> list[str]:
    """List what makes a resume differ from the run that was never stopped.

    Args:
        previous: The state as it was saved.
        state: The same, with the hyperparameters, data and environment of the run that begins.
        fresh: Of how many parameters the optimizer's state begins anew, and of how many it keeps
            one.
        doubts: Reasons found in the files of the checkpoint.
        harmless: Hyperparameters whose changes concern the steps to come alone.
    """
    changes = [
        *_list_changes(previous.training_config, state.training_config, harmless),
        *_list_changes(previous.environment, state.environment),
        *_list_plugin_changes(previous.environment, state.environment),
    ]
    is_replaced = previous.step > 0 and _names_another_optimizer(previous, state)
    said = _SAID_ELSEWHERE if is_replaced else frozenset()
    reasons = [
        f"{name} changed from {was} to {now}" for name, was, now in changes if name not in said
    ]
    was, now = previous.data, state.data
    if was is not None and now is not None and was.sha256 != now.sha256:
        reasons.append(f"the data changed ({_describe_data_change(was, now)})")
    if previous.step > 0:
        reasons += _list_unknowns(previous, state, fresh)
        reasons += _list_lost_epoch(previous, state)
    return [f"step {previous.step}: {reason}" for reason in (*reasons, *doubts)]


def _describe_data_change(was: DataFingerprint, now: DataFingerprint) -> str:
    if was.source != now.source:
        return f"{was.source} to {now.source}"
    before, after = (f"{d.train_tokens:,} and {d.val_tokens:,}" for d in (was, now))
    return f"{now.source} has other content: {before} tokens before, {after} now"


def _names_another_optimizer(previous: TrainingState, state: TrainingState) -> bool:
    return previous.training_config.optimizer != state.training_config.optimizer


def _list_unknowns(
    previous: TrainingState, state: TrainingState, fresh: tuple[int, int]
) -> Iterator[str]:
    n_fresh, n_kept = fresh
    if _names_another_optimizer(previous, state):
        was, now = (one.training_config.optimizer for one in (previous, state))
        lost = f"the state of {n_fresh} of {format_count(n_kept, 'parameter')} begins anew"
        lost = lost if n_kept else f"{now} keeps no state"
        yield f"the optimizer changed from {was} to {now}: {lost}"
    elif n_fresh == n_kept > 0:
        yield "there was no optimizer state, so a fresh one begins"
    if previous.mean_decay is not None:
        yield "the weights are a mean of those of the run, and no update made them"
    if previous.data is None:
        yield "the data it was trained on is unknown"
    if previous.environment is None:
        yield "the environment that trained it is unknown"
    unknown = sorted(previous.training_config.absent - _HARMLESS - _SAID_ELSEWHERE)
    if unknown:
        more = f" and {len(unknown) - 3} more settings were" if len(unknown) > 3 else " were"
        yield f"{', '.join(unknown[:3])}{more} not recorded"


def _list_lost_epoch(previous: TrainingState, state: TrainingState) -> Iterator[str]:
    """Yield a reason where a state written before `epoch` was recorded leaves its place open."""
    was_epoch = previous.training_config.sampling == "epoch"
    if was_epoch and previous.epoch is None and state.epoch is not None and not state.epoch.windows:
        yield "its place in the epoch was not recorded, so a new epoch begins"


def _list_changes(
    before: attrs.AttrsInstance | None,
    after: attrs.AttrsInstance | None,
    harmless: Collection[str] = (),
) -> Iterator[tuple[str, object, object]]:
    if before is None or after is None:
        return
    unknown: frozenset[str] = getattr(before, "absent", frozenset())
    for field in attrs.fields(type(after)):
        if field.name in _HARMLESS or field.name in unknown or field.name in harmless:
            continue
        was, now = (_comparable_value(field.name, getattr(o, field.name)) for o in (before, after))
        if was != now:
            yield field.name, was, now


def _list_plugin_changes(
    before: Environment | None, after: Environment | None
) -> Iterator[tuple[str, object, object]]:
    if before is None or after is None:
        return
    for package, was, now in list_version_changes(before.plugins, after.plugins):
        yield f"the plugin {package}", was, now


def _comparable_value(name: str, value: Any) -> object:
    """Reduce a curriculum to its steps, and a mixture to its shares in any order.

    What their sources hold, and which share each has, is compared by the fingerprint.
    """
    match name:
        case "curriculum":
            return [phase.until_iter for phase in value]
        case "mixture":
            total = sum(value.values())
            return sorted(round(share / total, 12) for share in value.values())
        case "batch_schedule":
            return [
                {"from_iter": part.from_iter, "grad_accum_steps": part.grad_accum_steps}
                for part in value
            ]
        case _:
            return value
