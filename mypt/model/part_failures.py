"""Name the plugin whose part failed while a model was at work."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.errors import MyptError, PluginError, Problem
from mypt.format.layout import used_slots
from mypt.plugins.isolation import make_call_fault, summarize_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType, TracebackType

    from mypt.model.assembly import Assembled
    from mypt.plugins.faults import PluginOrigin

_OWN_PARTS = "mypt.model.parts."
_METHODS = ("forward", "loss", "make_cache", "one_token", "reset")


@contextmanager
def naming_failures(model: Assembled) -> Iterator[None]:
    """Turn what a part of a plugin raises into a `PluginError` that names it.

    Raises:
        PluginError: A part of a plugin failed.
    """
    try:
        yield
    except Exception as error:
        explained = explain_failure(model, error)
        if explained is None:
            raise
        raise explained from error


def explain_failure(model: Assembled, error: Exception) -> PluginError | None:
    """Return the error that names the plugin whose part raised another error.

    Args:
        model: The model.
        error: Caught where the model called its parts.

    Returns:
        None where the model has no part of a plugin, where the error is raised outside of parts,
        and where it is one for the user already.
    """
    origins = find_origins(model)
    if not origins or isinstance(error, MyptError):
        return None
    slots = {id(part.module): part.slot for part in model.parts}
    # A function that `one_token` returned has no `self`, but lies in the module of its part.
    modules = {type(p.module).__module__: p.slot for p in model.parts if p.slot in origins}
    is_in_part = False
    for frame in _list_frames(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        slot = slots.get(id(frame.f_locals.get("self"))) or modules.get(module, "")
        if slot in origins:
            return _name_part(model, slot, origins[slot], frame.f_code.co_name, error)
        if slot == "embedding_type":
            return None  # what it got is the caller's
        is_in_part = is_in_part or bool(slot) or module.startswith(_OWN_PARTS)
    return _name_all(model, error) if is_in_part else None


def find_origins(model: Assembled) -> Mapping[str, PluginOrigin]:
    """Return the plugins that offer the parts of a model, by slot, without mypt's own."""
    found = {
        slot: model.plugins.source_of("mypt_parts", (slot, getattr(model.config, slot)))
        for slot in used_slots(model.config, model.plugins.layouts)
    }
    return {slot: o for slot, o in found.items() if o is not None and not o.is_built_in}


def name_foreign_parts(model: Assembled) -> str:
    """Return the parts of a model that plugins offer, with their plugins, without mypt's own."""
    return " or ".join(
        f"{slot} `{getattr(model.config, slot)}` of {origin}"
        for slot, origin in find_origins(model).items()
    )


def _list_frames(traceback: TracebackType | None) -> list[FrameType]:
    """Return the frames of a traceback, the innermost first."""
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames[::-1]


def _name_part(
    model: Assembled, slot: str, origin: PluginOrigin, function: str, error: Exception
) -> PluginError:
    called = function if function in _METHODS else _METHODS[0]
    noun = f"{slot} `{getattr(model.config, slot)}`"
    return PluginError(
        evolve(make_call_fault(origin, called, noun, error).problem, severity="error")
    )


def _name_all(model: Assembled, error: Exception) -> PluginError:
    """Return the error for what fails in a part of mypt, or in compiled code.

    A part of a plugin has returned something that others cannot use, or is among what was compiled.
    """
    reason, parts = summarize_error(error), name_foreign_parts(model)
    what = f"failed in a part of a plugin, or on what it returned ({reason}): {parts}"
    return PluginError(Problem("", "the model", what, "update the plugin", kind="plugin.broken"))
