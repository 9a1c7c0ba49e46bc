"""Register what plugins offer through each hook, under unique names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve, fields, frozen

from mypt import plugins
from mypt.format.errors import FormatError, PluginError, Problem, suggestion
from mypt.format.names.packages import normalize_package_name
from mypt.format.readers.contract import ReaderFactory
from mypt.plugins.contracts.fields import find_flaw
from mypt.plugins.faults import Fault, disable_hint
from mypt.plugins.isolation import isolate_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mypt.plugins.faults import PluginOrigin


@frozen
class Hook:
    """A hook and the kind of factory that it returns.

    Attributes:
        title: What it offers, as a heading.
        factory: Name in `mypt.plugins` of the class of factories that it returns, which is
            imported once a plugin offers one.
        key_of: Returns the key that a factory is looked up by.
        noun: Returns the noun for a factory in messages, from its key.
    """

    title: str
    factory: str
    key_of: Callable[[Any], Any]
    noun: Callable[[Any], str]

    @property
    def contract(self) -> type[Any]:
        """The class of the factories that it returns."""
        contract: type[Any] = getattr(plugins, self.factory)
        return contract


HOOKS = {
    "mypt_tokenizers": Hook(
        "tokenizers", "TokenizerFactory", lambda f: f.token_kind, lambda key: f"tokenizer `{key}`"
    ),
    "mypt_parts": Hook(
        "parts", "PartFactory", lambda f: (f.slot, f.name), lambda key: f"{key[0]} `{key[1]}`"
    ),
    "mypt_optimizers": Hook(
        "optimizers", "OptimizerFactory", lambda f: f.name, lambda key: f"optimizer `{key}`"
    ),
    "mypt_schedules": Hook(
        "schedules", "ScheduleFactory", lambda f: f.name, lambda key: f"schedule `{key}`"
    ),
    "mypt_losses": Hook("losses", "LossFactory", lambda f: f.name, lambda key: f"loss `{key}`"),
    "mypt_data_sources": Hook(
        "data sources", "DataSourceFactory", lambda f: f.name, lambda key: f"data source `{key}`"
    ),
    "mypt_gold_guards": Hook(
        "guards", "GuardFactory", lambda f: f.name, lambda key: f"gold guard `{key}`"
    ),
    "mypt_log_sinks": Hook(
        "sinks", "SinkFactory", lambda f: f.name, lambda key: f"log sink `{key}`"
    ),
    "mypt_legacy_readers": Hook(
        "readers", "ReaderFactory", lambda f: f.name, lambda key: f"legacy reader `{key}`"
    ),
    "mypt_exporters": Hook(
        "exporters", "ExporterFactory", lambda f: f.name, lambda key: f"exporter `{key}`"
    ),
    "mypt_logit_processors": Hook(
        "logit processors",
        "LogitProcessorFactory",
        lambda f: f.name,
        lambda key: f"logit processor `{key}`",
    ),
    "mypt_commands": Hook(
        "commands", "CommandFactory", lambda f: f.name, lambda key: f"command `{key}`"
    ),
}


class HookRegistry:
    """The factories that are offered through one hook.

    A built-in plugin keeps its names. A name that two other plugins offer belongs to neither: which
    of the two a command got would depend on the plugins' names.

    Attributes:
        factories: The factories, by key.
        sources: The plugin that offers each, by key.
        clashes: The two plugins that offer the same key.
        stand_ins: For such a key, a factory whose functions raise an error that names both.
        contested: For such a key, the factories that are offered.
        superseded: Packages one of whose factories has given way to that of a successor.
    """

    def __init__(self, hook: Hook) -> None:
        """Start empty."""
        self.hook = hook
        self.factories: dict[Any, Any] = {}
        self.sources: dict[Any, PluginOrigin] = {}
        self.clashes: dict[Any, tuple[PluginOrigin, PluginOrigin]] = {}
        self.stand_ins: dict[Any, Any] = {}
        self.contested: dict[Any, list[Any]] = {}
        self.superseded: set[str] = set()

    @property
    def offered(self) -> dict[Any, Any]:
        """The factories and the stand-ins, by key."""
        return {**self.factories, **self.stand_ins}

    def add(
        self, factory: object, source: PluginOrigin, note: Callable[[Fault], None]
    ) -> Fault | None:
        """Add one factory; return its fault, if any.

        Args:
            factory: The factory that a plugin offers.
            source: The plugin.
            note: Called with faults that are found later.
        """
        if type(factory) is not self.hook.contract:
            wanted, got = self.hook.contract.__name__, type(factory).__name__
            return Fault(source, f"offers {got}, not {wanted}")
        key = self.hook.key_of(factory)
        noun = self.hook.noun(key)
        flaw = None if source.is_built_in else find_flaw(factory)  # mypt's own are tested
        if flaw is not None:
            return Fault(source, f"offers the {noun}, whose {flaw}")
        first = self.sources.setdefault(key, source)
        isolated = factory if source.is_built_in else isolate_factory(factory, noun, source, note)
        if first is source and key not in self.factories:
            self.factories[key] = isolated
            return None
        if key in self.factories and _is_successor(factory, first):
            self.factories[key], self.sources[key] = isolated, source
            return self._note_superseded(first, source, noun)
        if key in self.factories and _is_successor(self.factories[key], source):
            return self._note_superseded(source, first, noun)
        if not first.is_built_in:
            before = self.factories.pop(key, None) or self.contested[key][0]
            self.clashes[key] = (first, source)
            self.contested.setdefault(key, [before]).append(isolated)
            if self.hook.factory != "TokenizerFactory":  # weights open without theirs
                self.stand_ins[key] = _make_stand_in(before, isolated, self.explain_missing(key))
        return Fault(source, f"offers the {noun}, which {first} offers too", "clash")

    def _note_superseded(self, old: PluginOrigin, new: PluginOrigin, noun: str) -> Fault:
        self.superseded.add(old.section)
        return Fault(
            old, f"offers the {noun}, as its successor {new} does, which is used", "superseded"
        )

    def find_former(self) -> dict[Any, list[Any]]:
        """Return the present keys of what has had another one, by each former key.

        A former key that something has now is left out; one with several present keys was claimed
        by several factories.
        """
        found: dict[Any, list[Any]] = {}
        for key, factory in self.factories.items():
            for name in getattr(factory, "former_names", ()):
                found.setdefault((key[0], name) if isinstance(key, tuple) else name, []).append(key)
        return {key: claims for key, claims in found.items() if key not in self.sources}

    def explain_missing(self, key: Any) -> Problem:
        """Return the problem to report for a key that cannot be looked up."""
        from mypt.format.rules.config import CLASH

        noun = self.hook.noun(key)
        if key in self.clashes:
            first, second = self.clashes[key]
            what = f"the {noun} is offered by both {first} and {second}"
            return Problem("", "", what, f"disable one: {disable_hint(second.name)}", CLASH)
        near, known = _list_candidates(key, self.factories)
        what = f"no plugin offers the {noun}{suggestion(near, known)}; available: " + (
            ", ".join(sorted(known)) or "none"
        )
        return Problem("", "", what, "install the package that provides it", kind="plugin")


def _is_successor(factory: Any, source: PluginOrigin) -> bool:
    """Return whether a factory says that the package of a plugin has offered it before."""
    packages = getattr(factory, "former_packages", ())
    return source.section in map(normalize_package_name, packages)


def _make_stand_in(one: Any, other: Any, problem: Problem) -> Any:
    """Return a factory for a name that two plugins offer: whatever it is asked, it names both."""

    def raise_clash(*_: object, **__: object) -> NoReturn:
        raise PluginError(problem)

    held = {a.name: getattr(one, a.name) for a in fields(type(one))}
    calls = {name: raise_clash for name, value in held.items() if callable(value)}
    no_options: dict[str, Any] = {"options": {}} if "options" in held else {}
    stand_in: Any = evolve(one, **calls, **no_options)
    if isinstance(one, ReaderFactory):
        return evolve(
            stand_in,
            recognises=lambda path: one.recognises(path) or other.recognises(path),
            defers=one.defers,
            read=_raise_format_error(problem),
            options=accept_options(one.options, other.options),
        )
    return evolve(stand_in, default=False) if "default" in held else stand_in


def accept_options(*schemas: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that takes what either declares, so that what is refused is the clash."""
    return {"properties": {name: {} for schema in schemas for name in schema.get("properties", {})}}


def _raise_format_error(problem: Problem) -> Callable[..., NoReturn]:
    def read(*_: object) -> NoReturn:
        raise FormatError(problem)

    return read


def _list_candidates(key: Any, known: Iterable[Any]) -> tuple[str, list[str]]:
    """Return a key's name, and the available names; for a part, those of the same slot."""
    if isinstance(key, tuple):
        return key[1], [name for slot, name in known if slot == key[0]]
    return key, list(known)
