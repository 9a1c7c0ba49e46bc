"""Whether something is on disk is asked of `format/storage/files.py`, which tells an error from no.

`Path.exists`, `is_file` and `is_dir` say no to every error from Python 3.14 on: a folder that
nobody may look into would be told as one that is not there.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "mypt"
ASKED = {"exists", "is_dir", "is_file"}
# What is installed, completion, which must be quick and silent, and what asks the system itself.
OTHERS = {
    "cli/completion/shells.py",
    "engine/config/presets.py",
    "format/resources.py",
    "format/storage/operating_system.py",
}


def asks_a_path(node):
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ASKED
        and not node.args
        and not node.keywords
    )


def test_no_path_is_asked_itself():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(asks_a_path(node) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert found == OTHERS
