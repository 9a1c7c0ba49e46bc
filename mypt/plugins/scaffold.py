"""A minimal plugin package to start from: `mypt plugins new NAME`."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mypt.format.errors import Problem, SaveError, UsageError
from mypt.format.names.packages import normalize_package_name
from mypt.format.storage.files import is_folder, is_present
from mypt.format.storage.save_errors import raising_save_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # of packages, and of modules
_TAKEN = {"mypt", "mypt_lm", "tests", *keyword.kwlist, *sys.stdlib_module_names}

# `templates` is a plugin by itself, so that editors and linters see it. It has these names.
_STARTER = re.compile("mypt-starter|mypt_starter|starter")
TEMPLATES = (
    "pyproject.toml",
    "README.md",
    "mypt_starter/__init__.py",
    "mypt_starter/plugin.py",
    "tests/test_plugin.py",
)


def write_scaffold(name: str, folder: Path) -> Iterator[Path]:
    """Write a package with one gold guard and passing tests.

    Args:
        name: Name of the package, such as `mypt-mine`.
        folder: The folder to write to; must be absent or empty.

    Yields:
        Each file, after it was written.

    Raises:
        UsageError: The name is not a valid package name, or the folder is not empty.
        SaveError: A file could not be written; nothing is left behind.
    """
    module = normalize_package_name(name).replace("-", "_")
    if not _NAME.fullmatch(name):
        what = "is not a valid name for a plugin package"
        fix = "use a letter, then letters, digits and hyphens, such as mypt-mine"
        raise UsageError(Problem("", name, what, fix, kind="plugin.name"))
    use = "a name that Python, mypt or its tests use" if module in _TAKEN else None
    if use is None and _is_installed(module):
        use = "which is installed already, and which it would hide"
    if use is not None:
        what = f"would be the module `{module}`, {use}"
        fix = f"choose another name, such as mypt-{normalize_package_name(name)}"
        raise UsageError(Problem("", name, what, fix, kind="plugin.name"))
    if is_present(folder) and (not is_folder(folder) or any(folder.iterdir())):
        what, fix = "already exists and is not empty", "choose another folder with --output"
        raise UsageError(Problem(str(folder), "", what, fix, kind="file.exists"))
    words = {
        "mypt-starter": normalize_package_name(name),
        "mypt_starter": module,
        "starter": module.removeprefix("mypt_"),
    }

    def rename(text: str) -> str:
        return _STARTER.sub(lambda found: words[found[0]], text)

    templates = resources.files("mypt.plugins").joinpath("templates")
    for file in TEMPLATES:
        path, text = folder / rename(file), templates.joinpath(file).read_text(encoding="utf-8")
        try:
            with raising_save_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(rename(text), encoding="utf-8", newline="\n")
        except SaveError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        yield path


def _is_installed(module: str) -> bool:
    """Return whether Python finds a module of that name; a folder without one is none."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None
