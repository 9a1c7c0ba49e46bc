"""Numbers as JSON has them, where a user made a document of numbers of numpy."""

from numbers import Integral, Real
from typing import Any

import attrs


def convert_numbers(document: attrs.AttrsInstance) -> None:
    """Replace the numbers in the fields of a new document by Python's own."""
    for field in attrs.fields(type(document)):
        value: Any = getattr(document, field.name)
        if not isinstance(value, bool | int | float) and isinstance(value, Real):
            plain = int(value) if isinstance(value, Integral) else float(value)
            object.__setattr__(document, field.name, plain)
