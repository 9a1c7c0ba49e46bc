"""Find what a name that does not exist was meant to be: by its meaning, then by its letters."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from mypt.format.names.counterparts.counterpart import Counterpart

_LONGEST = 100  # characters that are looked at; a file may name its fields as it likes
_ALIKE = 0.8  # of 1, as difflib measures it
_SHORTEST = 3  # letters of a word that may be a misspelt one
_SHORTEST_BEGINNING = 4
_OURS = re.compile(r"\{(\w+)\}")


def find_known(word: str, known: Iterable[str]) -> list[str]:
    """Return the known names that a word was meant to be, the likeliest first; often none.

    Args:
        word: What was written.
        known: The names that exist there.
    """
    names = list(known)
    row = _find_row(word, names)
    if row is not None and row.ours:
        return _list_existing(row, names)
    return _find_alike(word, names)


def explain_name(
    word: str, known: Iterable[str], elsewhere: Mapping[str, str] | None = None, mark: str = ""
) -> str:
    """Return what to say after "is not an option" of a setting; "" if nothing is known about it.

    That is ' (did you mean `learning_rate`?)', and ': ' and how mypt does it otherwise.

    Args:
        word: What was written, for an option with or without its dashes.
        known: The settings that exist there.
        elsewhere: Settings that exist in other places, by name, with what they are there, such as
            "a field of GPTConfig".
        mark: What stands before the name of a setting where the user writes it, such as "--".
    """
    names, others = list(known), elsewhere or {}
    row = _find_row(word, names)
    meant = _list_existing(row, names) if row is not None else []
    if row is not None and (meant or not row.ours):
        how = f": {fill_how(row.how, mark)}" if row.how else ""
        return f"{format_hint(meant, mark)}{how}"
    ours = [name for row in _list_rows(word) for name in row.ours.split()]
    for name in (_normalize(word), *ours):
        if name in others:
            return f": `{mark}{name}` is {others[name]}"
    alike = _find_alike(word, names)
    if ours and not alike:
        return f": that is `{mark}{ours[0]}` in mypt, which is set in another place"
    return format_hint(alike, mark)


def find_command(word: str, commands: Collection[str]) -> Counterpart | None:
    """Return the row of the command that a word was meant to be.

    Args:
        word: What was written.
        commands: The commands that exist, such as "format validate".
    """
    from mypt.format.names.counterparts.commands import COMMANDS
    from mypt.format.names.counterparts.counterpart import Counterpart

    name = _normalize(word)
    for row in COMMANDS:
        if name in map(_normalize, row.names) and (row.ours in commands or not row.ours):
            return row
    alike = _find_alike(name, commands)
    return Counterpart(ours=alike[0]) if alike else None


def fill_how(how: str, mark: str) -> str:
    """Return a text of the table with our names as the user writes them."""
    return _OURS.sub(rf"`{mark}\1`", how)


def _find_row(word: str, known: Collection[str]) -> Counterpart | None:
    """Return the row with something that exists, or else the one with nothing but advice."""
    rows = _list_rows(word)
    existing = (row for row in rows if _list_existing(row, known))
    return next(existing, next((row for row in rows if not row.ours), None))


def _list_rows(word: str) -> list[Counterpart]:
    """Return the rows that have a name, or else what follows the last dot of it."""
    name = _normalize(word)
    return _index_rows().get(name) or _index_rows().get(name.rpartition(".")[2], [])


@cache
def _index_rows() -> dict[str, list[Counterpart]]:
    # only for a name that does not exist
    from mypt.format.names.counterparts.settings import SETTINGS

    index: dict[str, list[Counterpart]] = {}
    for row in chain.from_iterable(SETTINGS.values()):
        for name in dict.fromkeys(row.names):
            index.setdefault(name, []).append(row)
    return index


def _list_existing(row: Counterpart, known: Collection[str]) -> list[str]:
    return [name for name in row.ours.split() if name in known]


def _find_alike(word: str, known: Collection[str]) -> list[str]:
    """Return the known name that a word is a misspelling or the beginning of."""
    import difflib

    name = _normalize(word)[:_LONGEST]
    spellings = {_normalize(other): other for other in known}
    if name in spellings:
        return [spellings[name]]
    near = [other for other in spellings if _is_one_typo_apart(name, other)]
    same_first = [other for other in spellings if other[:1] == name[:1]]
    near += difflib.get_close_matches(name, same_first, n=1, cutoff=_ALIKE)
    begun = [other for other in spellings if other.startswith(name)]
    if len(begun) == 1 and len(name) >= _SHORTEST_BEGINNING:
        near += begun
    return [spellings[other] for other in near[:1]]


def _is_one_typo_apart(one: str, other: str) -> bool:
    """Return whether one letter is wrong, missing or too much, or two neighbours are swapped."""
    if min(len(one), len(other)) < _SHORTEST or abs(len(one) - len(other)) > 1:
        return False
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _normalize(word: str) -> str:
    return word.lstrip("-/").lower().replace("-", "_")


def format_hint(names: Sequence[str], mark: str = "") -> str:
    """Return ' (did you mean `x` or `y`?)' with the names that are meant; "" if there are none."""
    if not names:
        return ""
    return f" (did you mean {' or '.join(f'`{mark}{name}`' for name in names)}?)"
