"""What the fields of a config must have to do with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypt.format.documents import GPTConfig, from_document
from mypt.format.errors import Problem, suggestion
from mypt.format.layout import BUILT_IN, SLOTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.format.documents import Document
    from mypt.format.layout import Layouts

HEADS = "config.heads"


def architecture_problems(
    document: Document, file: str, layouts: Layouts = BUILT_IN, plugins: Iterable[str] = ()
) -> list[Problem]:
    """Say why no model can be built from a config or a preset.

    Args:
        document: Fields that their schema has accepted.
        file: Its name, for messages.
        layouts: The parts known; `BUILT_IN` and those of plugins.
        plugins: Packages that the bundle says it needs, for messages.
    """
    config = from_document(GPTConfig, document)
    return [*_head_problems(config, file), *_part_problems(config, file, layouts, plugins)]


def _head_problems(config: GPTConfig, file: str) -> list[Problem]:
    width, heads = config.n_embd, config.n_head
    if config.head_size is None and width % heads:
        what = f"is {heads}, which does not divide n_embd ({width})"
        near = [n for n in range(max(1, heads - 1000), heads + 1000) if width % n == 0]
        best = sorted(near, key=lambda n: abs(n - heads))[:2]
        fix = f"choose {' or '.join(map(str, sorted(best)))}" if best else "choose a divisor of it"
        return [Problem(file, "/n_head", what, f"{fix}, or give head_size", kind=HEADS)]
    if config.pos_encoding == "rope" and config.head_width % 2:
        where = "/n_head" if config.head_size is None else "/head_size"
        what = f"makes heads {config.head_width} wide, but rope turns pairs of values"
        return [Problem(file, where, what, "make the heads an even width", kind="config.rope")]
    return []


def _part_problems(
    config: GPTConfig, file: str, layouts: Layouts, plugins: Iterable[str]
) -> list[Problem]:
    problems = []
    for slot in SLOTS:
        name = getattr(config, slot)
        if (slot, name) in layouts:
            continue
        near = suggestion(name, [known for kind, known in layouts if kind == slot])
        what = f'is "{name}", which neither mypt nor an installed plugin offers{near}'
        fix = f"install the plugin that brings it{_named(plugins)}"
        problems.append(Problem(file, f"/{slot}", what, fix, kind="config.part"))
    return problems


def _named(plugins: Iterable[str]) -> str:
    names = ", ".join(sorted(plugins))
    return f" ({names})" if names else ""
