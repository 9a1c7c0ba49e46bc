"""Packages as pip installs them, made by hand: a module and the metadata that names it."""

from importlib.metadata import entry_points

from mypt.plugins.packages import GROUPS

GUARD = """
from mypt.plugins import GuardFactory, Verdict, hookimpl

@hookimpl
def mypt_gold_guards():
    return [GuardFactory("{name}", lambda options: lambda evaluation, memory: Verdict(None, {{}}))]
"""
# Two seconds pass by the clock that the importer looks at next, and none in the test.
SLOW = """
import time

clock = time.monotonic

def two_seconds_later():
    time.monotonic = clock
    return clock() + 2

time.monotonic = two_seconds_later
"""
HEAD = "from mypt.plugins import TokenizerFactory, hookimpl\n"
# What a plugin can be like at its worst; `{name}` is its name.
BROKEN = {
    "import_error": "import a_module_that_nobody_has",
    "syntax_error": "def mypt_tokenizers(:",
    "exits": "raise SystemExit(3)",
    "wrong_signature": HEAD + "@hookimpl\ndef mypt_tokenizers(surprise):\n    return []",
    "duplicate_name": HEAD
    + "@hookimpl\ndef mypt_tokenizers():\n"
    + "    return [TokenizerFactory('char', build=str, train=str)]",
    "slow": SLOW + GUARD,
    "fails_at_registration": "def __dir__():\n    raise RuntimeError('not today')",
    "without_hookimpl": HEAD + "def mypt_tokenizers():\n    return []",
    "unnamed": HEAD
    + "@hookimpl\ndef mypt_tokenizers():\n"
    + "    return [TokenizerFactory(5, build=str, train=str)]",
    "fails_in_its_hook": HEAD + "@hookimpl\ndef mypt_tokenizers():\n    raise RuntimeError('no')",
}


def install(
    folder, package, code, *, entry=None, module=None, version="1.0", requires=(), group="mypt"
):
    """Write a package with one plugin to a folder that is to be on the path of modules."""
    entry = entry or package
    module = module or package
    info = folder / f"{package.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {package}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (info / "METADATA").write_text("\n".join([*lines, ""]))
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry} = {module}\n")
    (folder / f"{module}.py").write_text(code)
    return folder


def install_broken(folder, kind, suffix=""):
    code = BROKEN[kind].replace("{name}", kind).replace("{{}}", "{}")
    return install(folder, f"acme-{kind}", code, entry=kind, module=f"acme_{kind}{suffix}")


def others():
    """Name the packages with plugins that are installed here, as `MYPT_DISABLE_PLUGINS` does."""
    found = (entry for group in GROUPS for entry in entry_points(group=group))
    return ",".join({entry.dist.name for entry in found})
