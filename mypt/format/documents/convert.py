"""Convert JSON documents to instances of their classes and back, following the annotations.

Every class has a field `extra` for what this version does not know, the number of a newer minor
version included: a document that is written again keeps it. Some classes have a field `absent`
with the names of what their document leaves out: the default in its place is what a run takes, and
not what was recorded. Their modules have no `from __future__ import annotations`, which would
reduce each annotation to its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from mypt.format.calls.signatures import INTERNAL_FIELDS
from mypt.format.documents.construction import accepted
from mypt.format.version import FORMAT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from cattrs import Converter

Document = Mapping[str, Any]
T = TypeVar("T", bound=attrs.AttrsInstance)

_VERSION = "format_version"


def from_document(cls: type[T], document: Document) -> T:
    """Build an instance of `cls` from a document accepted by its schema.

    Args:
        cls: One of the classes of `mypt.format.documents.training`.
        document: Parsed JSON. Fields that `cls` lacks go to `extra`, and so does a newer version.

    Returns:
        The instance. What the document leaves out has the default of its schema, and is named in
        `absent`.
    """
    members = {k: v for k, v in document.items() if k != _VERSION or _is_newer(v)}
    with accepted():
        return _make_converter(is_whole=True).structure(members, cls)


def _is_newer(version: object) -> bool:
    """Return whether a version of format 2 is above ours, however many digits it has."""
    here, there = (str(v).partition(".")[2] for v in (FORMAT_VERSION, version))
    return (len(there), there) > (len(here), here)


def from_optional_document(cls: type[T], document: Document | None) -> T | None:
    """Return what `from_document` returns; None for None."""
    return None if document is None else from_document(cls, document)


def to_document(value: Any, *, versioned: bool = True) -> dict[str, Any]:
    """Return a document as a JSON object, unknown fields and all defaults included.

    Args:
        value: An instance of a class of `mypt.format.documents.training`.
        versioned: Whether to put `format_version` first, as every file has it.
    """
    document: dict[str, Any] = _make_converter(is_whole=True).unstructure(value)
    return {_VERSION: FORMAT_VERSION, **document} if versioned else document


def to_recorded_document(value: Any, *, versioned: bool = True) -> dict[str, Any]:
    """Return what `to_document` returns, without the fields that were not recorded.

    These are the ones that the document left out, unless they have another value by now.

    Args:
        value: An instance of a class of `mypt.format.documents.training`.
        versioned: Whether to put `format_version` first, as every file has it.
    """
    document: dict[str, Any] = _make_converter(is_whole=False).unstructure(value)
    return {_VERSION: FORMAT_VERSION, **document} if versioned else document


@cache
def _make_converter(*, is_whole: bool) -> Converter:
    """Return the cattrs converter, which keeps unknown fields in `extra`.

    Args:
        is_whole: Whether it writes fields that were not recorded.
    """
    from cattrs import Converter

    converter = Converter()

    def structure_with_extra(cls: type[Any]) -> Callable[[Document, Any], Any]:
        from cattrs.gen import make_dict_structure_fn

        build = make_dict_structure_fn(cls, converter)
        names = field_names(cls)
        tracked = frozenset(getattr(cls, "SETTINGS", names)) if _has_absent(cls) else frozenset()
        parts: dict[str, Any] = {a.name: {} for a in attrs.fields(cls) if _has_absent(a.type)}
        parts |= getattr(cls, "OMITTED", {})

        def structure(document: Document, _: Any) -> Any:
            known = {name: value for name, value in document.items() if name in names}
            extra = {name: value for name, value in document.items() if name not in names}
            members = {**parts, **known, "extra": extra}
            if tracked:
                members["absent"] = tracked - known.keys()
            return build(members, cls)

        return structure

    def unstructure_with_extra(cls: type[Any]) -> Callable[[Any], dict[str, Any]]:
        from cattrs.gen import make_dict_unstructure_fn

        plain = make_dict_unstructure_fn(cls, converter)

        defaults = {a.name: _default_of(a) for a in attrs.fields(cls)}

        def unstructure(value: Any) -> dict[str, Any]:
            members: dict[str, Any] = plain(value)
            extra, absent = members.pop("extra"), members.pop("absent", ())
            for name in () if is_whole else absent:
                if getattr(value, name) == defaults[name]:
                    del members[name]
            return {**members, **extra}

        return unstructure

    # One string or several: the schema has already checked which.
    converter.register_structure_hook(
        str | tuple[str, ...] | None,
        lambda value, _: tuple(value) if isinstance(value, list) else value,
    )
    converter.register_structure_hook_factory(_has_extra, structure_with_extra)
    converter.register_unstructure_hook_factory(_has_extra, unstructure_with_extra)
    return converter


def field_names(cls: type[attrs.AttrsInstance]) -> tuple[str, ...]:
    """Return the names of the fields that a document of a class may have."""
    return tuple(a.name for a in attrs.fields(cls) if a.name not in INTERNAL_FIELDS)


def _default_of(attribute: attrs.Attribute[Any]) -> Any:
    default: Any = attribute.default
    return getattr(default, "factory", lambda: default)()


def _has_extra(cls: Any) -> bool:
    return attrs.has(cls) and any(a.name == "extra" for a in attrs.fields(cls))


def _has_absent(cls: Any) -> bool:
    return attrs.has(cls) and any(a.name == "absent" for a in attrs.fields(cls))
