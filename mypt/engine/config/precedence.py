"""Resolve the settings of a run from flags, preset and saved bundle.

New model: the preset's architecture wins over architecture flags; training flags, and flags for the
config fields that may change, win over the preset, and so does each option in `--plugins`. Resume:
the saved architecture wins over everything; the same flags win over the saved values, so that
repeating a command has the same effect. Everything that is ignored is reported.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import evolve, field, frozen

from mypt.engine.config.overrides import (
    TRAINING_FIELDS,
    build_config,
    inherited_training,
    override_training,
)
from mypt.engine.config.plugin_sections import check_sections, merge_sections
from mypt.engine.config.presets import Preset, read_preset
from mypt.engine.config.vocabulary import refuse_changes
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document, to_document
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.format.errors import ConfigError, Problem
from mypt.format.rules.plugin_settings import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypt.format.opened import Opened
    from mypt.format.readers.contract import Registry
    from mypt.plugins.contracts.tokenizer import Tokenizer

_NO_PRESET = Preset("", {})
# The weights do not depend on these.
_MAY_CHANGE = ("batch_size", "dropout")
# Nor on these; the device depends on the current machine.
_NOT_FIXED = GPTConfig.SETTINGS
# Hyperparameters that say which tensors there are.
_FIXED = frozenset({"lora_rank", "lora_alpha", "lora_targets", "lora_dropout"})


@frozen(kw_only=True)
class TrainRequest:
    """The settings that a user asked for; a field that was not given is absent.

    Attributes:
        model_name: Name of the model.
        architecture: Fields of `GPTConfig`.
        training: Fields of `TrainingConfig`.
        tokenization: `token_kind` of a new model's tokenizer.
        options: What the reader of a checkpoint of another program has to be told, be it the model
            to resume or the one whose weights it begins with.
        overwrite: Whether copies of other runs may be replaced.
        fall_back: Whether to go on from the newest whole copy where the model is damaged.
        no_lock: Whether to go on where the file system has no locks.
        find_lr: Whether learning rates are tried instead of a run, and nothing is written.
        command: The words of the command line; None without one.
        base: Of an adapter that it goes on from or begins with, the base; None to look for it.
        again: A checkpoint whose run is to be done again under this name, with its settings.
    """

    model_name: str
    architecture: Mapping[str, Any] = field(factory=dict)
    training: Mapping[str, Any] = field(factory=dict)
    tokenization: str | None = None
    options: Mapping[str, Any] = field(factory=dict)
    overwrite: bool = False
    fall_back: bool = False
    no_lock: bool = False
    find_lr: bool = False
    command: tuple[str, ...] | None = None
    base: str | None = None
    again: Opened | None = None


@frozen(kw_only=True)
class ResolvedRun:
    """The settings of a run, resolved.

    Attributes:
        config: Architecture; `vocab_size` of a new model is set later, with its tokenizer.
        training: Hyperparameters.
        tokenization: `token_kind` of the tokenizer.
        preset: The preset of a new model.
        vocab_size: That of a new model by its flag; None where it was not given.
        device: Device to compute on; None to choose automatically.
        notices: What was ignored or decided, one line each.
        previous: The state to resume from; None for a new model.
        doubts: Why the run does not continue exactly, as far as the config shows.
    """

    config: GPTConfig
    training: TrainingConfig
    tokenization: str
    device: str | None
    preset: Preset = _NO_PRESET
    vocab_size: int | None = None
    notices: tuple[str, ...] = ()
    previous: TrainingState | None = None
    doubts: tuple[str, ...] = ()

    def asked_vocab_size(self, token_kind: str) -> int | None:
        """Return the `vocab_size` asked for a new model with this tokenizer; None if none was.

        That of a preset is meant for the preset's tokenizer.
        """
        if self.vocab_size is not None or token_kind != self.preset.tokenization:
            return self.vocab_size
        size: int | None = self.preset.architecture.get("vocab_size")
        return size


def resolve_new(request: TrainRequest, plugins: Registry) -> ResolvedRun:
    """Resolve the first run of a model.

    Args:
        request: The request.
        plugins: Where parts and the options of plugins are looked up.

    Raises:
        UsageError: The preset does not exist.
        ConfigError: A setting is unknown or out of range, or contradicts another one; or options
            are for a package that is not installed.
        PluginError: An option means different things to two factories of its package.
    """
    file = request.training.get("config_file")
    preset = _read_preset(file, plugins)
    fixed = {k: v for k, v in preset.architecture.items() if k not in ("vocab_size", PLUGINS)}
    notices = [
        f"--{name} {_format_value(value)} is ignored: {file} says {_format_value(fixed[name])}"
        for name, value in request.architecture.items()
        if name not in _NOT_FIXED and name in fixed and fixed[name] != value
    ]
    wanted = {k: v for k, v in request.architecture.items() if k not in fixed or k in _NOT_FIXED}
    given = request.architecture.get(PLUGINS, {})
    wanted[PLUGINS] = merge_sections(preset.architecture.get(PLUGINS, {}), given)
    tokenization = request.tokenization or preset.tokenization
    document = {**fixed, **wanted, "tokenization": tokenization}
    unused = check_sections(document, plugins.settings, preset=preset.file, given=given)
    config = build_config({**fixed, **wanted}, plugins.layouts)
    by_preset = override_training(preset.training, TrainingConfig())
    return ResolvedRun(
        config=config,
        training=override_training(request.training, by_preset),
        tokenization=tokenization,
        device=config.device,
        preset=preset,
        vocab_size=request.architecture.get("vocab_size"),
        notices=(*preset.remarks, *notices, *unused),
    )


def settle_vocab_size(run: ResolvedRun, tokenizer: Tokenizer) -> ResolvedRun:
    """Set the `vocab_size` of a new model: by its flag, its preset or its tokenizer.

    Args:
        run: As `resolve_new` returned it.
        tokenizer: Tokenizer of the model.

    Raises:
        ConfigError: The size that was asked for is smaller than the vocabulary.
    """
    preset, kind = run.preset, tokenizer.token_kind
    size, notices = run.asked_vocab_size(kind), run.notices
    if size is None:
        size = tokenizer.vocab_size
        unused = preset.architecture.get("vocab_size")
        if unused is not None:
            why = f"it is for {preset.tokenization}, and the tokenizer of this model is {kind}"
            notices = (*notices, f"vocab_size {unused} of {preset.file} is not used: {why}")
    if size < tokenizer.n_vocab:
        file = "" if run.vocab_size is not None else preset.file
        what = f"is {size}, but the {kind} vocabulary has {tokenizer.n_vocab} tokens"
        fix = f"leave it out, or choose at least {tokenizer.n_vocab}"
        raise ConfigError(Problem(file, "vocab_size", what, fix, kind="vocab_size"))
    return evolve(run, config=evolve(run.config, vocab_size=size), notices=notices)


def resolve_fine_tuning(
    request: TrainRequest, base: Opened, name: str, plugins: Registry
) -> ResolvedRun:
    """Resolve the first run of a model that starts from the weights of another one.

    Args:
        request: The request.
        base: The other model.
        name: The name that the user gave for it.
        plugins: Where parts and the options of plugins are looked up.

    Raises:
        ConfigError: A setting is out of range, or is not possible with the weights of the base.
        FormatError: The base has no tokenizer.
    """
    run = resolve_new(request, plugins)
    kind = base.need_tokenizer().token_kind
    if request.tokenization not in (None, kind):
        what = f"is {request.tokenization}, but {name} uses the tokenizer {kind}"
        raise ConfigError(Problem("", "tokenization", what, "leave it out", kind="base.tokenizer"))
    saved, preset = to_document(base.config), run.preset.architecture
    preset.pop("vocab_size", None)  # it is for a vocabulary that is not trained here
    decided = {k: v for k, v in request.architecture.items() if k in _NOT_FIXED}
    asked = {**request.architecture, **preset, **decided}
    if PLUGINS in asked:
        asked[PLUGINS] = run.config.plugins
    taken = {k: v for k, v in asked.items() if k in _adjustable_fields(base.config)}
    notices = [
        f"{k} {_format_value(v)} is ignored: {name} has {_format_value(saved[k])}"
        for k, v in asked.items()
        if k not in taken and k not in _NOT_FIXED and _differs(k, v, saved[k])
    ]
    warnings = (f"warning: {warning}" for warning in base.warnings)
    config = build_config({**saved, **taken}, plugins.layouts)
    _ensure_not_longer(config, base.config, name)
    return evolve(
        run,
        config=config,
        tokenization=kind,
        notices=tuple(dict.fromkeys((*run.notices, *notices, *base.notices, *warnings))),
    )


def _adjustable_fields(config: GPTConfig) -> frozenset[str]:
    """Return the fields a fine-tuned model may change without new weights."""
    rope = {"rope_theta", "rope_scale"} if config.pos_encoding == "rope" else set()
    return frozenset({"batch_size", "block_size", "dropout", "device", *rope})


def _ensure_not_longer(config: GPTConfig, base: GPTConfig, name: str) -> None:
    if config.pos_encoding == "learned" and config.block_size > base.block_size:
        what = f"is {config.block_size}, but {name} has learned {base.block_size} positions"
        fix = f"choose at most {base.block_size}"
        raise ConfigError(Problem("", "block_size", what, fix, kind="base.positions"))


def resolve_resumed(request: TrainRequest, opened: Opened, plugins: Registry) -> ResolvedRun:
    """Resolve another run of a model that has a bundle.

    Raises:
        UsageError: The preset does not exist, although it would be ignored.
        ConfigError: A flag is unknown or out of range.
    """
    saved = to_document(opened.config)
    changed = _pick_changes(request.architecture, saved)
    kind = "" if opened.tokenizer is None else opened.tokenizer.token_kind
    asked = {k: v for k, v in request.architecture.items() if k not in _NOT_FIXED}
    if request.tokenization is not None:
        asked["tokenization"] = request.tokenization
    had = {**saved, "tokenization": kind}
    notices = [
        _name_ignored(name, value, had[name])
        for name, value in asked.items()
        if _differs(name, value, had[name])
    ]
    given = dict(request.training)
    file, base = given.pop("config_file", None), given.pop("init_from_model", None)
    state = opened.training_state or from_document(TrainingState, {"step": 0})
    refuse_changes(given, state.training_config)
    if file is not None and file != state.training_config.config_file:
        _read_preset(file, plugins)
        notices.append(f"--config_file {file} is ignored: the saved config.json is used")
    if base is not None and base != state.training_config.init_from_model:
        notices.append(f"--init_from_model {base} is ignored: {opened.path} already has weights")
    known = inherited_training(state)
    for name in [name for name in given if name in _FIXED]:
        value, was = given.pop(name), getattr(known, name)
        if _plain(value) != _plain(was):
            notices.append(_name_ignored(name, value, _plain(was)))
    training = override_training(given, known)
    notices += _list_unrecorded(training, opened, changed)
    log_file = state.training_config.log_file
    if log_file is not None and training.log_file is None:
        notices.append(f"A new log begins: {log_file} is that of {state.copy_of}")
    return ResolvedRun(
        config=build_config({**saved, **changed}, plugins.layouts) if changed else opened.config,
        training=evolve(training, start_step=state.step),
        tokenization=kind,
        device=request.architecture.get("device"),
        notices=(*notices, *opened.notices),
        previous=state,
        doubts=tuple(
            f"{k} is {v}, and was not recorded"
            if k in opened.config.absent
            else f"{k} changed from {saved[k]} to {v}"
            for k, v in changed.items()
        ),
    )


def _name_ignored(name: str, asked: Any, saved: Any) -> str:
    return (
        f"--{name} {_format_value(asked)} is ignored: the saved model has {_format_value(saved)}; "
        "for a new model, choose another --model_name"
    )


def _list_unrecorded(training: TrainingConfig, opened: Opened, given: Collection[str]) -> list[str]:
    """Return a line on the settings that a run takes by default, since nobody knows what they were.

    Those that are off by default are left out.
    """
    path, config = opened.path, opened.config
    values = {name: getattr(config, name) for name in sorted(config.absent) if name not in given}
    values |= {name: getattr(training, name) for name in TRAINING_FIELDS if name in training.absent}
    taken = ", ".join(f"{name} {_format_value(value)}" for name, value in values.items() if value)
    return [f"{path} does not record these settings; the defaults are taken: {taken}"] * bool(taken)


def list_ineffective(request: TrainRequest, run: ResolvedRun, opened: Opened) -> list[str]:
    """Return a line for each changed setting that has no effect since the run is complete."""
    before = opened.training_state or TrainingState(step=0)
    was = {**_fields_of(before.training_config), **_fields_of(opened.config)}
    unknown = before.training_config.absent | opened.config.absent
    now = {**_fields_of(run.training), **_fields_of(run.config)}
    changed = [k for k in (*request.architecture, *request.training) if now[k] != was[k]]
    return [
        f"--{k} {_format_value(now[k])} had no effect: "
        + (
            "what the run had is not recorded"
            if k in unknown
            else f"the run had {_format_value(was[k])}"
        )
        for k in changed
        if k != "max_iters"
    ]


def _differs(name: str, asked: Any, saved: Any) -> bool:
    """Return whether a field would change; of sections only the options that are asked count."""
    return bool((merge_sections(saved, asked) if name == PLUGINS else asked) != saved)


def _fields_of(config: GPTConfig | TrainingConfig) -> dict[str, Any]:
    return to_document(config, versioned=False)


def _pick_changes(asked: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return the requested changes to the fields that may change between runs."""
    return {k: asked[k] for k in _MAY_CHANGE if k in asked and asked[k] != saved[k]}


def _read_preset(file: str | None, plugins: Registry) -> Preset:
    if file is None:
        return _NO_PRESET
    return read_preset(file, plugins.layouts, plugins.readers.values(), plugins.settings)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _format_value(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
