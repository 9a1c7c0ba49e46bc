"""The command `mypt`, outside the package of that name, whose place another package can take.

On PyPI, `mypt` is a package of somebody else with a top-level module `mypt`. Where that is found
first, importing from ours fails; here it is noticed before anything else is imported.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

SHADOWED = (
    "error: {place}: is another package named mypt, and hides this one; run: pip uninstall mypt, "
    "then: pip install --force-reinstall mypt-lm, or rename that folder"
)


def main() -> NoReturn:
    """Run `mypt`, unless another package of that name is in its place."""
    try:
        place = find_other()
        if place is not None:
            sys.exit(SHADOWED.format(place=place))
        from mypt.cli.main import main

        main()
    except KeyboardInterrupt:  # before a command began, or after it ended
        sys.exit("interrupted")


def find_other() -> Path | None:
    """Find a package `mypt` in the place of ours; return its folder, or None if it is ours."""
    spec = find_spec("mypt")
    places = spec.submodule_search_locations if spec is not None else None
    place = Path(next(iter(places or ()), "mypt"))
    try:  # a folder without `__init__.py`, such as a clone, does not hide the rest of the package
        import mypt.format.version
    except ImportError:
        return place
    is_ours = mypt.__file__ is None or "CheckpointManager" in getattr(mypt, "__all__", ())
    return None if is_ours else place
