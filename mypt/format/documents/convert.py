"""Convert JSON documents to instances of their classes and back, following the annotations.

Every class has a field `extra` for what this version does not know. Their modules have no
`from __future__ import annotations`, which would reduce each annotation to its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

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
        document: Parsed JSON. Fields that `cls` lacks go to `extra`, except the version.
    """
    members = {name: value for name, value in document.items() if name != _VERSION}
    with accepted():
        return _make_converter().structure(members, cls)


def from_optional_document(cls: type[T], document: Document | None) -> T | None:
    """Return what `from_document` returns; None for None."""
    return None if document is None else from_document(cls, document)


def to_document(value: Any, *, versioned: bool = True) -> dict[str, Any]:
    """Return a document as a JSON object, unknown fields included.

    Args:
        value: An instance of a class of `mypt.format.documents.training`.
        versioned: Whether to put `format_version` first, as every file has it.
    """
    document: dict[str, Any] = _make_converter().unstructure(value)
    return {_VERSION: FORMAT_VERSION, **document} if versioned else document


@cache
def _make_converter() -> Converter:
    """Return the cattrs converter, which keeps unknown fields in `extra`."""
    from cattrs import Converter

    converter = Converter()

    def structure_with_extra(cls: type[Any]) -> Callable[[Document, Any], Any]:
        from cattrs.gen import make_dict_structure_fn

        build = make_dict_structure_fn(cls, converter)
        names = {attribute.name for attribute in attrs.fields(cls)} - {"extra"}

        def structure(document: Document, _: Any) -> Any:
            known = {name: value for name, value in document.items() if name in names}
            extra = {name: value for name, value in document.items() if name not in names}
            return build({**known, "extra": extra}, cls)

        return structure

    def unstructure_with_extra(cls: type[Any]) -> Callable[[Any], dict[str, Any]]:
        from cattrs.gen import make_dict_unstructure_fn

        plain = make_dict_unstructure_fn(cls, converter)

        def unstructure(value: Any) -> dict[str, Any]:
            members: dict[str, Any] = plain(value)
            extra = members.pop("extra")
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


def _has_extra(cls: Any) -> bool:
    return attrs.has(cls) and any(a.name == "extra" for a in attrs.fields(cls))
