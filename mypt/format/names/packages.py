"""Names of packages."""

from __future__ import annotations

import re


def normalize_package_name(package: str) -> str:
    """Return the normalized name of a package.

    Source: Python Packaging User Guide, "Names and normalization".
    """
    return re.sub(r"[-_.]+", "-", package).lower()
