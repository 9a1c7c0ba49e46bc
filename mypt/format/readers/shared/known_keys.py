"""Refuse the keys of a foreign document that a reader does not know.

A key that nobody has looked at may change what the model computes (another activation, positions by
ALiBi), so it is never skipped: it is read, is on the reader's list of keys without effect, or is
refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.errors import FormatError, Problem, limit_problems, suggestion
from mypt.format.schema.messages import format_value, json_pointer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNKNOWN = "foreign.key"
_FIX = (
    "if it changes nothing that the model computes, save the checkpoint without it; "
    "otherwise install a plugin that reads it"
)


@frozen
class KnownKeys:
    """The keys of a document of a foreign program.

    Attributes:
        read: Those that the reader expresses in mypt's config, or refuses itself.
        ignored: Those that change nothing the model computes, whatever their value.
        ignored_at: Those of which that is true at some values alone, with these values.
    """

    read: frozenset[str]
    ignored: frozenset[str] = frozenset()
    ignored_at: Mapping[str, tuple[Any, ...]] = field(factory=dict)


def check_keys(document: Mapping[str, Any], keys: KnownKeys, file: str, at: str = "") -> None:
    """Raise if a document has a key that is not known, or not with that value.

    Args:
        document: What the program wrote.
        keys: What the reader knows of it.
        file: Name of the file, for messages.
        at: JSON pointer of the document in the file.

    Raises:
        FormatError: With all such keys.
    """
    problems = limit_problems(_find_problems(document, keys, file, at))
    if problems:
        raise FormatError(*problems)


def _find_problems(
    document: Mapping[str, Any], keys: KnownKeys, file: str, at: str
) -> Iterable[Problem]:
    names = {*keys.read, *keys.ignored, *keys.ignored_at}
    for name, value in document.items():
        where = at + json_pointer([name])
        if name in keys.ignored_at:
            harmless = keys.ignored_at[name]
            if not any(type(value) is type(known) and value == known for known in harmless):
                wanted = " or ".join(map(format_value, harmless))
                what = f"is {_show(value)}; mypt knows what the model computes with {wanted} alone"
                yield Problem(file, where, what, _FIX, kind=UNKNOWN)
        elif name not in names:
            near = suggestion(str(name), names)
            what = f"is not known to mypt{near}, and may change what the model computes"
            yield Problem(file, where, what, _FIX, kind=UNKNOWN)


def _show(value: Any) -> str:
    """Format a value, also one that a pickle can hold and JSON cannot."""
    plain = value is None or isinstance(value, (str, int, float, dict, list))
    return format_value(value) if plain else f"of the type {type(value).__name__}"
