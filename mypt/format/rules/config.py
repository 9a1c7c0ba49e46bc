"""How the fields of a config must agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import from_document
from mypt.format.errors import MyptError, Problem, log_traceback, suggestion
from mypt.format.layout import BUILT_IN, SLOTS, expected_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mypt.format.documents.convert import Document
    from mypt.format.layout import Layouts

HEADS = "config.heads"
# A plugin's part, according to the manifest: the rest of the bundle can still be checked.
MISSING = "plugin.missing"
# A part that the installed plugin fails to describe.
BROKEN = "plugin.broken"
# A part that two installed plugins offer under one name.
CLASH = "plugin.clash"


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
        plugins: Packages that the bundle requires, as its manifest lists them.
        unusable: For packages that are installed and cannot be used, why, and what to do.
    """
    config = from_document(GPTConfig, document)
    parts = _part_problems(config, file, layouts, plugins or {}, unusable or {})
    return [*_head_problems(config, file), *parts]


def layout_problems(config: GPTConfig, file: str, layouts: Layouts) -> list[Problem]:
    """Return the reasons why a config's tensors cannot be listed: a plugin's part rejects it.

    Args:
        config: A config without `architecture_problems` and `settings_problems`.
        file: Its name, for messages.
        layouts: The known parts; a config with any other part is not checked.
    """
    if any((slot, getattr(config, slot)) not in layouts for slot in SLOTS):
        return []
    try:
        expected_tensors(evolve(config, n_layer=1), layouts)
    except MyptError as error:
        log_traceback(error)
        return [evolve(problem, file=file) for problem in error.problems]
    return []


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


def _head_problems(config: GPTConfig, file: str) -> list[Problem]:
    width, heads = config.n_embd, config.n_head
    if config.head_size is None and width % heads:
        what = f"is {heads}, which does not divide n_embd ({width})"
        near = [n for n in range(max(1, heads - 1000), heads + 1000) if width % n == 0]
        best = sorted(near, key=lambda n: abs(n - heads))[:2]
        fix = f"choose {' or '.join(map(str, sorted(best)))}" if best else "choose a divisor of it"
        return [Problem(file, "/n_head", what, f"{fix}, or set head_size", kind=HEADS)]
    if config.pos_encoding == "rope" and config.head_width % 2:
        where = "/n_head" if config.head_size is None else "/head_size"
        what = f"makes heads {config.head_width} wide, but rope rotates pairs of values"
        return [Problem(file, where, what, "make the heads an even width", kind="config.rope")]
    return []


def _part_problems(
    config: GPTConfig,
    file: str,
    layouts: Layouts,
    plugins: Mapping[str, Any],
    unusable: Mapping[str, tuple[str, str]],
) -> list[Problem]:
    problems = []
    needed = {
        package: f"{package} {need['version']}"
        for package, need in sorted(plugins.items())
        if "read" in need["needed_for"]
    }
    for slot in SLOTS:
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
