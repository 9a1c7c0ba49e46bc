"""What plugins offer through one hook, each under a name of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.errors import Problem, suggestion
from mypt.format.readers.contract import ReaderFactory
from mypt.plugins.contracts import GuardFactory, PartFactory, SinkFactory, TokenizerFactory
from mypt.plugins.factory_checks import find_flaw
from mypt.plugins.faults import Fault, disable_hint
from mypt.plugins.isolation import isolate_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mypt.plugins.faults import PluginOrigin


@frozen
class Hook:
    """What one hook is for.

    Attributes:
        title: What it offers, as a heading.
        contract: Class of the factories that it gives.
        key_of: Gives the name of one of them: what it is looked up by.
        noun: What one of them is called in messages, by its name.
    """

    title: str
    contract: type[Any]
    key_of: Callable[[Any], Any]
    noun: Callable[[Any], str]


HOOKS = {
    "mypt_tokenizers": Hook(
        "tokenizers", TokenizerFactory, lambda f: f.token_kind, lambda key: f"tokenizer `{key}`"
    ),
    "mypt_parts": Hook(
        "parts", PartFactory, lambda f: (f.slot, f.name), lambda key: f"{key[0]} `{key[1]}`"
    ),
    "mypt_gold_guards": Hook(
        "guards", GuardFactory, lambda f: f.name, lambda key: f"gold guard `{key}`"
    ),
    "mypt_log_sinks": Hook("sinks", SinkFactory, lambda f: f.name, lambda key: f"log sink `{key}`"),
    "mypt_legacy_readers": Hook(
        "readers", ReaderFactory, lambda f: f.name, lambda key: f"legacy reader `{key}`"
    ),
}


class HookRegistry:
    """What is offered through one hook.

    A name that a built-in plugin has stays its own. One that two others offer is nobody's: which of
    the two a command got would depend on how they are called.

    Attributes:
        factories: What is offered, by name.
        sources: Which plugin offers it.
        clashes: The plugins that offer the same, by its name.
    """

    def __init__(self, hook: Hook) -> None:
        """Begin with none."""
        self.hook = hook
        self.factories: dict[Any, Any] = {}
        self.sources: dict[Any, PluginOrigin] = {}
        self.clashes: dict[Any, tuple[PluginOrigin, PluginOrigin]] = {}

    def add(
        self, factory: object, source: PluginOrigin, note: Callable[[Fault], None]
    ) -> Fault | None:
        """Take in one factory, or say what is wrong with it.

        Args:
            factory: What a plugin offers.
            source: The plugin.
            note: Told of what turns out to be wrong later.
        """
        if type(factory) is not self.hook.contract:
            wanted, got = self.hook.contract.__name__, type(factory).__name__
            return Fault(source, f"offers a {got} where a {wanted} is wanted")
        key = self.hook.key_of(factory)
        noun = self.hook.noun(key)
        flaw = None if source.is_built_in else find_flaw(factory)  # tests check those of mypt
        if flaw is not None:
            return Fault(source, f"offers the {noun}, whose {flaw}")
        first = self.sources.setdefault(key, source)
        if first is source and key not in self.factories:
            self.factories[key] = (
                factory if source.is_built_in else isolate_factory(factory, noun, source, note)
            )
            return None
        if not first.is_built_in:
            self.factories.pop(key, None)
            self.clashes[key] = (first, source)
        return Fault(source, f"offers the {noun}, as {first} does", "clash")

    def explain_missing(self, key: Any) -> Problem:
        """Say why there is nothing of that name."""
        noun = self.hook.noun(key)
        if key in self.clashes:
            first, second = self.clashes[key]
            what = f"the {noun} is offered by both {first} and {second}"
            return Problem(
                "", "", what, f"switch one off: {disable_hint(second.name)}", "plugin.clash"
            )
        near, known = _list_candidates(key, self.factories)
        what = f"no plugin offers the {noun}{suggestion(near, known)}; there are: " + (
            ", ".join(sorted(known)) or "none"
        )
        return Problem("", "", what, "install the package that brings it", kind="plugin")


def _list_candidates(key: Any, known: Iterable[Any]) -> tuple[str, list[str]]:
    """Give the names that could stand in its place, of a part those of the same slot."""
    if isinstance(key, tuple):
        return key[1], [name for slot, name in known if slot == key[0]]
    return key, list(known)
