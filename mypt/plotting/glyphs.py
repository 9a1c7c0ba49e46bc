"""The characters that a drawing in a terminal is made of."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Glyphs:
    """Characters for one kind of terminal.

    Attributes:
        lines: Of the curves, by colour; empty where curves are made of braille dots.
        gold: A model that became gold.
        blocked: A model that was kept from it.
        phase: Where a phase begins.
        axis: The vertical axis, and where it has a number.
        ruler: The horizontal axis: its corner, itself, and where it has a number.
        left_out: The part of a name for which there is no room.
    """

    lines: str
    gold: str
    blocked: str
    phase: str
    axis: tuple[str, str]
    ruler: tuple[str, str, str]
    left_out: str

    def legend(self, colour: int) -> str:
        """Return what a legend says before a name, so that it can be told without colours."""
        return f"{self.lines[colour]} " if self.lines else ""


UNICODE = Glyphs(
    lines="",
    gold="\u25c6",
    blocked="\u00d7",
    phase="\u250a",
    axis=("\u2502", "\u2524"),
    ruler=("\u2514", "\u2500", "\u252c"),
    left_out="\u2026",
)
ASCII = Glyphs(
    lines="*.o+#%=~",
    gold="G",
    blocked="x",
    phase=":",
    axis=("|", "+"),
    ruler=("+", "-", "+"),
    left_out="..",
)
