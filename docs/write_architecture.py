"""Write the picture and the table of rooms of `docs/explanation/architecture.md` from the code.

The layers are those of import-linter's contracts in `pyproject.toml`, the imports are read with
`ast`, and what a room holds is the first line of its docstring.
"""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Span = tuple[str, float, str]  # class, size of the font, text

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
PICTURE = PAGE.with_suffix(".svg")
BEGIN = "<!-- Written by `python docs/write_architecture.py` from here on -->\n"
END = "\n<!-- to here -->"

WIDTH, MARGIN, PADDING, GAP = 1200, 16, 10, 8
TITLE_SIZE, TEXT_SIZE, NAME_SIZE = 14, 12, 11.5
LINE = 16
# Widths of a character, as parts of the size of its font: a wide sans serif, a monospaced one.
TEXT_WIDTH, TITLE_WIDTH, NAME_WIDTH = 0.55, 0.66, 0.61
HUES = (25, 45, 140, 205, 235, 260, 290, 320, 0)

STYLE = """
.page { fill: #ffffff } .line { stroke: #8a8f98 } .tip { fill: #8a8f98 }
text { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-weight: 600 } .names { font-family: ui-monospace, Menlo, Consolas, monospace }
.text, .names { fill: #57606a }
"""
DARK = """
.page { fill: #0d1117 } text { fill: #e6edf3 } .text, .names { fill: #9da7b3 }
"""


@dataclass
class Room:
    """A package, or a module that stands beside packages.

    Attributes:
        name: Its dotted name.
        text: First line of its docstring.
        modules: Modules that are listed in it by name.
        rows: Rooms in it, in rows from top to bottom.
    """

    name: str
    text: str
    modules: list[str] = field(default_factory=list)
    rows: list[list[Room]] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its file or folder, as a listing shows it."""
        return self.name.rpartition(".")[2] + ("/" if self.modules or self.rows else ".py")

    @property
    def weight(self) -> float:
        """About how much room it needs."""
        inner = [sum(room.weight for room in row) for row in self.rows]
        return 90 + len(self.text) + 1.3 * len("  ".join(self.modules)) + max(inner, default=0)


def read_layers() -> dict[str, list[list[str]]]:
    """Read the layers of each package, from top to bottom, out of the contracts."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    linter = document["tool"]["importlinter"]
    layers = {}
    for contract in linter["contracts"]:
        if contract["type"] == "layers":
            names = [layer.split(" | ") for layer in contract["layers"]]
            for container in contract.get("containers", [""]):
                prefix = f"{container}." if container else ""
                key = container or linter["root_package"]
                layers[key] = [[prefix + name for name in layer] for layer in names]
    return layers


def read_room(name: str, layers: dict[str, list[list[str]]]) -> Room:
    """Read a package and all in it, or a module."""
    path = ROOT.joinpath(*name.split("."))
    if not path.is_dir():
        return Room(name, read_first_line(path.with_suffix(".py")))
    room = Room(name, read_first_line(path / "__init__.py"))
    packages = [f"{name}.{inner.parent.name}" for inner in sorted(path.glob("*/__init__.py"))]
    rows = layers.get(name)
    if rows is None:
        rows = sort_into_layers(packages)
        room.modules = sorted({file.stem for file in path.glob("*.py")} - {"__init__"})
    else:
        # What no layer names is imported by nobody: it stands beside the topmost.
        rest = sorted(set(packages) - {inner for row in rows for inner in row})
        rows = [[*rows[0], *rest], *rows[1:]]
    room.rows = [[read_room(inner, layers) for inner in row] for row in rows]
    return room


def sort_into_layers(packages: Sequence[str]) -> list[list[str]]:
    """Put the packages that no contract has in layers above those that they import."""
    used = {name: _find_rooms(read_imports(name), packages) - {name} for name in packages}
    layers: list[list[str]] = []
    while used:
        lowest = [name for name in used if not used[name] & used.keys()]
        if not lowest:
            message = f"there is a circle among {', '.join(used)}"
            raise ValueError(message)
        layers.insert(0, lowest)
        used = {name: found for name, found in used.items() if name not in lowest}
    return layers


def read_first_line(path: Path) -> str:
    """Read the first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


class Picture:
    """Draws rooms as boxes within boxes; what is lower may be imported by what is higher."""

    def __init__(self) -> None:
        """Begin with an empty sheet."""
        self._parts: list[str] = []

    def draw(self, house: Room) -> str:
        """Draw the whole package."""
        left, y = MARGIN + 26, float(MARGIN)
        for number, row in enumerate(house.rows):
            y += self._draw_row(row, left, y, WIDTH - MARGIN - left, HUES[number], 0) + GAP
        height = y - GAP + MARGIN
        label = "Rooms of mypt in layers; each imports only from the layers below it."
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
                f'width="{WIDTH}" height="{height:.0f}" role="img" aria-label="{label}">',
                f"<style>{STYLE}{_color_rules()}",
                f"@media (prefers-color-scheme: dark) {{{DARK}{_color_rules(dark=True)}}}</style>",
                f'<rect class="page" width="{WIDTH}" height="{height:.0f}" rx="10"/>',
                *_arrow(MARGIN + 8, MARGIN, height - MARGIN),
                *self._parts,
                "</svg>\n",
            ]
        )

    def _draw_row(
        self, row: Sequence[Room], x: float, y: float, width: float, hue: int, depth: int
    ) -> float:
        widths = _share(width - GAP * (len(row) - 1), row)
        height = max(
            _height(room, room_width) for room, room_width in zip(row, widths, strict=True)
        )
        for room, room_width in zip(row, widths, strict=True):
            self._draw_room(room, x, y, room_width, height, hue, depth)
            x += room_width + GAP
        return height

    def _draw_room(
        self, room: Room, x: float, y: float, width: float, height: float, hue: int, depth: int
    ) -> None:
        place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        self._parts.append(f'<rect class="h{hue}d{min(depth, 2)}" {place} rx="6"/>')
        y += PADDING - 4
        left = x + PADDING
        for line in _lines(room, width):
            y += LINE
            spans = "".join(
                f'<tspan class="{css}" font-size="{size}">{escape(text)}</tspan>'
                for css, size, text in line
            )
            self._parts.append(
                f'<text x="{left:.1f}" y="{y:.1f}" xml:space="preserve">{spans}</text>'
            )
        y += GAP + 2
        for row in room.rows:
            inner = width - 2 * PADDING
            y += self._draw_row(row, left, y, inner, hue, depth + 1) + GAP


def _lines(room: Room, width: float) -> Iterator[list[Span]]:
    """Break the texts of a room into lines, its title and what it holds on one where they fit."""
    inner, holds = width - 2 * PADDING, room.text.replace("`", "")
    title = ("title", TITLE_SIZE, room.title)
    text_width = TEXT_SIZE * TEXT_WIDTH
    begun = len(room.title) * TITLE_SIZE * TITLE_WIDTH
    if begun + (2 + len(holds)) * text_width <= inner:
        yield [title, ("text", TEXT_SIZE, f"   {holds}")]
    else:
        yield [title]
        for line in wrap(holds, int(inner / text_width)):
            yield [("text", TEXT_SIZE, line)]
    for line in wrap("  ".join(room.modules), int(inner / NAME_SIZE / NAME_WIDTH)):
        yield [("names", NAME_SIZE, line)]


def _height(room: Room, width: float) -> float:
    lines = len(list(_lines(room, width)))
    rows = 0.0
    for row in room.rows:
        widths = _share(width - 2 * PADDING - GAP * (len(row) - 1), row)
        rows += GAP + max(_height(room, inner) for room, inner in zip(row, widths, strict=True))
    return lines * LINE + 2 * PADDING - 2 + (rows + 2 if rows else 0)


def _share(width: float, row: Sequence[Room]) -> list[float]:
    """Share a width among the rooms of a row, by what is in them."""
    weights = [room.weight for room in row]
    return [width * weight / sum(weights) for weight in weights]


def _color_rules(*, dark: bool = False) -> str:
    """Color each layer of the house by a hue, and rooms in rooms by its shades."""
    shades = ((14, 28), (18, 34), (23, 40)) if dark else ((94, 80), (97, 84), (100, 88))
    color = 25 if dark else 50
    return "\n".join(
        f".h{hue}d{depth} {{ fill: hsl({hue} {color}% {fill}%);"
        f" stroke: hsl({hue} {color}% {stroke}%) }}"
        for hue in HUES
        for depth, (fill, stroke) in enumerate(shades)
    )


def _arrow(x: float, top: float, bottom: float) -> Iterator[str]:
    yield f'<path class="line" d="M{x} {top}V{bottom - 8:.0f}" stroke-width="2"/>'
    yield f'<path class="tip" d="M{x - 6} {bottom - 10:.0f}h12l-6 10z"/>'
    yield (
        f'<text class="text" font-size="{TEXT_SIZE}" x="{x + 15}" y="{(top + bottom) / 2:.0f}" '
        f'transform="rotate(-90 {x + 15} {(top + bottom) / 2:.0f})">imports go down</text>'
    )


def iterate_packages(room: Room) -> Iterator[Room]:
    """Walk through the packages, from top to bottom; modules are named by their package."""
    for row in room.rows:
        for inner in row:
            if ROOT.joinpath(*inner.name.split(".")).is_dir():
                yield inner
                yield from iterate_packages(inner)


def read_imports(package: str) -> set[str]:
    """Find what of mypt is imported by the modules of a package, those in its rooms aside."""
    found: set[str] = set()
    for path in ROOT.joinpath(*package.split(".")).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("mypt.")}


def _find_rooms(names: set[str], packages: Sequence[str]) -> set[str]:
    """Find the innermost of some packages that hold what is imported."""
    return {
        max((package for package in packages if f"{name}.".startswith(f"{package}.")), default="")
        for name in names
    } - {""}


def write_table(house: Room) -> str:
    """Write what each room holds and what it imports, as a table."""
    packages = [room.name for room in iterate_packages(house)]
    rows = ["| room | holds | imports |", "|---|---|---|"]
    for room in iterate_packages(house):
        names = read_imports(room.name)
        family = ".".join(room.name.split(".")[:2]) + "."
        rooms = _find_rooms({name for name in names if name.startswith(family)}, packages)
        near = sorted({name.removeprefix(family) for name in rooms - {room.name, family[:-1]}})
        far = sorted({name.split(".")[1] for name in names if not name.startswith(family)})
        imports = "; ".join(", ".join(names) for names in (near, far) if names)
        indent = "&nbsp;&nbsp;" * (room.name.count(".") - 1)
        rows.append(f"| {indent}`{room.name.replace('.', '/')}/` | {room.text} | {imports} |")
    return "\n".join(rows)


def picture() -> str:
    """Draw the picture."""
    return Picture().draw(read_room("mypt", read_layers()))


def page() -> str:
    """Return the page with its table as the code is now."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{write_table(read_room('mypt', read_layers()))}\n{END}{after}"


def main() -> None:
    """Write both."""
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
