"""A minimal plugin package to start from: `mypt plugins new NAME`."""

from __future__ import annotations

import keyword
import re
import sys
from typing import TYPE_CHECKING

from mypt.format.errors import Problem, UsageError
from mypt.plugins.faults import normalize_package_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # of packages, and of modules
_TAKEN = {"mypt", "tests", *keyword.kwlist, *sys.stdlib_module_names}

_PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "A plugin for mypt."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["mypt"]

[project.entry-points.mypt]
{module} = "{module}.plugin"

[tool.setuptools]
packages = ["{module}"]

[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["--import-mode=importlib"]
"""

_README = """# {name}

A plugin for mypt. It provides the gold guard `{guard}`, which prevents a model whose validation
loss is above a limit from becoming gold.

```sh
pip install -e .
mypt plugins
mypt train --model_name dante --gold_guards '{{"{guard}": {{"limit": 3.5}}}}'
```

mypt's reference of hooks describes everything that a plugin can provide, with examples.
"""

_PLUGIN = '''"""Register this package with mypt. Import heavy packages inside the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mypt.plugins import Evaluation, GoldGuard, GuardFactory, Verdict, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "{guard}"
OPTIONS = {{
    "type": "object",
    "properties": {{"limit": {{"type": "number", "exclusiveMinimum": 0, "default": 4.0}}}},
    "additionalProperties": False,
}}


@hookimpl
def mypt_gold_guards() -> list[GuardFactory]:
    """Offer the guard of this package."""
    return [GuardFactory(NAME, build_guard, options=OPTIONS)]


def build_guard(options: Mapping[str, Any]) -> GoldGuard:
    """Block every model whose validation loss is above `limit`."""
    limit = options.get("limit", 4.0)

    def judge(evaluation: Evaluation, memory: Mapping[str, Any]) -> Verdict:
        if evaluation.val_loss > limit:
            return Verdict(f"{{NAME}}: {{evaluation.val_loss:.4f}} is above {{limit}}", memory)
        return Verdict(None, memory)

    return judge
'''

_TEST = """import tomllib
from pathlib import Path

import pytest
from mypt.plugins import Evaluation, GuardFactory
from mypt.testing import check_guard, registered

import {module}.plugin


@pytest.fixture
def factory() -> GuardFactory:
    return registered({module}.plugin).guards["{guard}"]


def reason(factory: GuardFactory, limit: float, val_loss: float) -> str | None:
    guard = factory.build({{"limit": limit}})
    return guard(Evaluation(step=100, train_loss=1.0, val_loss=val_loss), {{}}).reason


def test_a_model_below_the_limit_passes(factory: GuardFactory) -> None:
    assert reason(factory, 3.0, 2.9) is None


def test_a_model_above_the_limit_is_blocked(factory: GuardFactory) -> None:
    assert "above 3.0" in str(reason(factory, 3.0, 3.1))


def test_it_keeps_the_contract_of_guards(factory: GuardFactory) -> None:
    check_guard(factory)
    check_guard(factory, {{"limit": 2.4}})


def test_the_entry_point_names_the_plugin() -> None:
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    entry_points = tomllib.loads(text)["project"]["entry-points"]["mypt"]
    assert entry_points == {{"{module}": {module}.plugin.__name__}}
"""


def write_scaffold(name: str, folder: Path) -> Iterator[Path]:
    """Write a package with one gold guard and passing tests.

    Args:
        name: Name of the package, such as `mypt-mine`.
        folder: The folder to write to; must be absent or empty.

    Yields:
        Each file, after it was written.

    Raises:
        UsageError: The name is not a valid package name, or the folder is not empty.
    """
    module = normalize_package_name(name).replace("-", "_")
    if not _NAME.fullmatch(name):
        what = "is not a valid name for a plugin package"
        fix = "use a letter, then letters, digits and hyphens, such as mypt-mine"
        raise UsageError(Problem("", name, what, fix, kind="plugin.name"))
    if module in _TAKEN:
        what = f"would be the module `{module}`, a name that Python, mypt or its tests use"
        fix = f"choose another name, such as mypt-{normalize_package_name(name)}"
        raise UsageError(Problem("", name, what, fix, kind="plugin.name"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what, fix = "already exists and is not empty", "choose another folder with --output"
        raise UsageError(Problem(str(folder), "", what, fix, kind="file.exists"))
    words = {
        "name": normalize_package_name(name),
        "module": module,
        "guard": module.removeprefix("mypt_"),
    }
    files = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        f"{module}/__init__.py": '"""A plugin for mypt."""\n',
        f"{module}/plugin.py": _PLUGIN,
        "tests/test_plugin.py": _TEST,
    }
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**words), encoding="utf-8")
        yield path
