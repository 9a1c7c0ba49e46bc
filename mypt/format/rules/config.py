"""How the fields of a config must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, fields_dict

from mypt.format.adapters.places import is_target, list_targets
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.config_parts.adapter import FEATURE
from mypt.format.documents.config_parts.rope_scaling import OWN, RopeScaling
from mypt.format.documents.convert import from_document
from mypt.format.documents.manifest import READ
from mypt.format.errors import MyptError, Problem, log_traceback, suggestion
from mypt.format.layout import (
    BUILT_IN,
    EMBEDDING,
    HEAD,
    are_parts_known,
    lay_out,
    used_slots,
)
from mypt.format.schema.messages import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mypt.format.documents.convert import Document
    from mypt.format.layout import Layouts, ModelLayout, Tensors

HEADS = "config.heads"
_ROPE, _NORM = "config.rope", "config.norm"
_ADAPTER, _TARGET = "config.adapter", "adapter.target"
# A field that would have no effect.
_UNUSED = "config.unused"
# A plugin's part, according to the manifest: the rest of the bundle can still be checked.
MISSING = "plugin.missing"
# A part that the installed plugin fails to describe.
BROKEN = "plugin.broken"
# A part that two installed plugins offer under one name.
CLASH = "plugin.clash"
_OF_ROPE = ("rope_theta_sliding", "rope_scaling", "rope_size", "rope_pattern")
_OF_WINDOWS = ("rope_theta_sliding", "window_pattern")
_Found = tuple[str, str, str, str]  # field, what is wrong, what to do, kind of problem


def architecture_problems(
    document: Document,
    file: str,
    layouts: Layouts = BUILT_IN,
    plugins: Mapping[str, Any] | None = None,
    unusable: Mapping[str, tuple[str, str]] | None = None,
) -> list[Problem]:
    """Return the reasons why no model can be built from a config or a preset.

    Args:
        document: Fields accepted by their schema.
        file: Its name, for messages.
        layouts: The known parts: `BUILT_IN` and those of plugins.
        plugins: Packages that the bundle requires, as a manifest lists them.
        unusable: For packages that are installed and cannot be used, why, and what to do.
    """
    config = from_document(GPTConfig, document)
    parts = _part_problems(config, file, layouts, plugins or {}, unusable or {})
    fields = [
        Problem(file, f"/{where}", what, fix, kind=kind)
        for where, what, fix, kind in _find_contradictions(config)
    ]
    return [*fields, *parts]


def layout_problems(config: GPTConfig, file: str, layouts: Layouts) -> list[Problem]:
    """Return the reasons why a config's tensors cannot be listed, or cannot be tied.

    Args:
        config: A config without `architecture_problems` and `settings_problems`.
        file: Its name, for messages.
        layouts: The known parts; a config with any other part is not checked.
    """
    if not are_parts_known(config, layouts):
        return []
    base = config.without_adapter()
    try:
        layout = lay_out(base, layouts)
        for layer in {0, config.n_layer - 1} if config.n_layer else ():
            layout.layer(layer)
    except MyptError as error:  # a plugin's part rejects the config
        log_traceback(error)
        return [evolve(problem, file=file) for problem in error.problems]
    problems = [*_tie_problems(config, file, layout.outside)] if config.tie_weights else []
    return [*problems, *_target_problems(config, layout, file)]


def _target_problems(config: GPTConfig, layout: ModelLayout, file: str) -> Iterator[Problem]:
    """Yield a problem for each target of an adapter that the base does not have.

    Args:
        config: The config.
        layout: The tensors of the base.
        file: Name of the config's file, for messages.
    """
    if config.adapter is None:
        return
    known: dict[str, tuple[str, ...]] = {}
    for layer in range(min(1, config.n_layer) if layout.is_uniform else config.n_layer):
        known |= list_targets(layout.layer(layer), config)
    parts = {part: name for name, of in known.items() for part in of}
    for index, target in enumerate(config.adapter.targets):
        where = f"/adapter/targets/{index}"
        if not any(is_target(name, target) for name in known) and target not in parts:
            what = f'is "{target}", which names no matrix of a layer'
            fix = f"use some of: {', '.join([*known, *parts])}"
            yield Problem(file, where, what, fix, kind=_TARGET)
        elif parts.get(target) in config.adapter.targets:
            what = f'is "{target}", which is a part of {parts[target]}, a target too'
            yield Problem(file, where, what, "leave out one of them", kind=_TARGET)


def _tie_problems(config: GPTConfig, file: str, tensors: Tensors) -> Iterator[Problem]:
    """Yield a problem for an embedding or a head that has no weight to tie."""
    wanted = (config.vocab_size, config.n_embd)
    for name, slot in ((EMBEDDING, "embedding_type"), (HEAD, "head_type")):
        if tensors.get(name) != wanted:
            what = (
                f"is true, but {slot} `{getattr(config, slot)}` has no `weight` of shape {wanted}"
            )
            fix = f"set it to false, or choose another {slot}"
            yield Problem(file, "/tie_weights", what, fix, kind="config.tied")


def explain_lack(
    packages: Mapping[str, str], unusable: Mapping[str, tuple[str, str]]
) -> tuple[list[str], str]:
    """Return packages that are needed, each with the reason why it cannot be used, and what to do.

    Args:
        packages: What each is called in the message, by its name.
        unusable: For those that are installed, why, and what to do.
    """
    absent = [package for package in packages if package not in unusable]
    fixes = [unusable[package][1] for package in packages if package in unusable]
    if absent:
        fixes.append(f"install it: pip install {' '.join(absent)}")
    names = [
        f"{name} (which {unusable[package][0]})" if package in unusable else name
        for package, name in packages.items()
    ]
    return names, "; ".join(dict.fromkeys(fixes))


def _find_contradictions(config: GPTConfig) -> Iterator[_Found]:
    """Yield the fields that do not go together with others."""
    checks = (_check_heads, _check_rotation, _check_scaling, _check_windows, _check_norms)
    for check in (*checks, _check_adapter):
        yield from check(config)


def _check_heads(config: GPTConfig) -> Iterator[_Found]:
    width, heads, groups = config.n_embd, config.n_head, config.kv_heads
    if config.head_size is None and width % heads:
        what = f"is {heads}, which does not divide n_embd ({width})"
        yield "n_head", what, f"{_suggest_divisor(width, heads)}, or set head_size", HEADS
    if heads % groups:
        what = f"is {groups}, which does not divide n_head ({heads})"
        yield "n_kv_head", what, _suggest_divisor(heads, groups), HEADS


def _suggest_divisor(of: int, near: int) -> str:
    found = [n for n in range(max(1, near - 1000), near + 1000) if of % n == 0]
    best = sorted(found, key=lambda n: abs(n - near))[:2]
    return f"choose {' or '.join(map(str, sorted(best)))}" if best else "choose a divisor of it"


def _check_rotation(config: GPTConfig) -> Iterator[_Found]:
    size, width = config.rope_size, config.head_width
    if config.pos_encoding == "learned":
        for name in _OF_ROPE:
            if getattr(config, name) is not None:
                what = "is set, but pos_encoding is learned, which rotates nothing"
                yield name, what, "set it to null, or pos_encoding to rope", _UNUSED
    elif config.head_size is None and config.n_embd % config.n_head:
        return  # heads of no width at all
    elif size is None and width % 2 and config.pos_encoding == "rope":
        where = "n_head" if config.head_size is None else "head_size"
        what = f"makes heads {width} wide, but rope rotates pairs of values"
        yield where, what, "make the heads an even width", _ROPE
    elif size is not None and size > width:
        what = f"is {size}, but heads are {width} wide"
        yield "rope_size", what, f"set it to at most {width}, or to null", _ROPE


def _check_scaling(config: GPTConfig) -> Iterator[_Found]:
    scaling = config.rope_scaling
    if scaling is None:
        return
    defaults = {name: field.default for name, field in fields_dict(RopeScaling).items()}
    for name, kind in OWN.items():
        if kind != scaling.kind and getattr(scaling, name) != defaults[name]:
            what = f"is set, but only {kind} uses it, and the kind is {scaling.kind}"
            yield f"rope_scaling/{name}", what, "leave it out", _UNUSED
    if scaling.kind == "llama3":
        yield from _check_llama3(scaling)
    elif scaling.kind == "yarn":
        if scaling.beta_fast < scaling.beta_slow:
            what = f"is {scaling.beta_fast:g}, below beta_slow ({scaling.beta_slow:g})"
            yield "rope_scaling/beta_fast", what, "make it the larger one", _ROPE
        if config.rope_theta <= 1:
            what = f"is {config.rope_theta:g}, but yarn needs frequencies that fall"
            yield "rope_theta", what, "choose a number above 1", _ROPE
    elif config.rotated_width == 2:
        what = "is dynamic, which has no effect on the one frequency of 2 rotated values"
        yield "rope_scaling/kind", what, "set rope_scaling to null, or rotate more values", _UNUSED


def _check_llama3(scaling: RopeScaling) -> Iterator[_Found]:
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    for name in ("low_freq_factor", "high_freq_factor"):
        if getattr(scaling, name) is None:
            what, fix = "is missing, but llama3 needs it", "write that of the trained model"
            yield f"rope_scaling/{name}", what, fix, _ROPE
    if low is not None and high is not None and low >= high:
        what = f"is {high:g}, not above low_freq_factor ({low:g})"
        yield "rope_scaling/high_freq_factor", what, "make it the larger one", _ROPE


def _check_windows(config: GPTConfig) -> Iterator[_Found]:
    if config.sliding_window is not None:
        return
    for name in _OF_WINDOWS:
        value = getattr(config, name)
        if value is not None:
            what = f"is {format_value(value)}, but sliding_window is null: no layer is windowed"
            yield name, what, "set it to null, or set sliding_window", _UNUSED


def _check_norms(config: GPTConfig) -> Iterator[_Found]:
    if not config.has_norm_weight and config.norm_offset:
        what = f"is {config.norm_offset:g}, but norm_weight is false: it is added to no weights"
        yield "norm_offset", what, "set it to 0, or norm_weight to true", _UNUSED
    if config.qk_norm is not None and ("norm_type", config.norm_type) not in BUILT_IN:
        what = f"is {config.qk_norm}, but norm_type is {config.norm_type}, which is not mypt's own"
        fix = "set it to null, or norm_type to layernorm or rmsnorm"
        yield "qk_norm", what, fix, _NORM


def _check_adapter(config: GPTConfig) -> Iterator[_Found]:
    is_required = FEATURE in config.requires
    if config.adapter is not None and not is_required:
        what = f'lacks "{FEATURE}", but there is an adapter: the weights are not of a whole model'
        yield "requires", what, "add it", _ADAPTER
    elif config.adapter is None and is_required:
        what = f'has "{FEATURE}", but adapter is null'
        yield "requires", what, "restore the adapter, or leave it out", _ADAPTER


def _part_problems(
    config: GPTConfig,
    file: str,
    layouts: Layouts,
    plugins: Mapping[str, Any],
    unusable: Mapping[str, tuple[str, str]],
) -> list[Problem]:
    problems = []
    needed = {
        package: f"{package} {need['version'] or ''}".rstrip()
        for package, need in sorted(plugins.items())
        if READ in need["needed_for"]
    }
    for slot in used_slots(config, layouts):
        name = getattr(config, slot)
        if (slot, name) in layouts:
            continue
        where = f"/{slot}"
        if needed:
            names, fix = explain_lack(needed, unusable)
            what = f'is "{name}", which requires {" or ".join(names)} to be read and checked'
            problems.append(Problem(file, where, what, fix, kind=MISSING, severity="warning"))
            continue
        offered = sorted(known for kind, known in layouts if kind == slot)
        near = suggestion(name, offered)
        what = f'is "{name}", which neither mypt nor an installed plugin provides{near}'
        fix = f"use one of: {', '.join(offered)}, or install the plugin that provides it"
        if config.plugins:  # a package with settings here is likely the one
            likely = sorted(config.plugins)
            fix += f": pip install {' or '.join(likely)}"
            found = [package for package in likely if package in unusable]
            if found:
                names, fix = explain_lack(dict(zip(found, found, strict=True)), unusable)
                what += f"; {' or '.join(names)} may"
        problems.append(Problem(file, where, what, fix, kind="config.part"))
    return problems
