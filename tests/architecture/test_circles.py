"""What import-linter does not check: circles between modules, and the size of rooms.

An import counts wherever it stands, also under `TYPE_CHECKING` and inside a function: two modules
that name each other cannot be understood one after the other, whatever Python makes of it.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "mypt"
MOST_MODULES = 12
# Packages that are imported for what they hold themselves.
WITH_CONTENT = {"mypt", "mypt.format.migrations", "mypt.plugins", "mypt.testing"}


def find_modules(package):
    """Map the dotted names of all modules and packages to their files."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def find_imports(name, path, names):
    """Find the modules among `names` that a file imports, anywhere in it."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            # `from package import module` takes nothing from the package itself.
            yield from inner & names
            if base in names and not inner <= names:
                yield base


def read_imports(package):
    """Map each module to the modules of the same package that it imports."""
    modules = find_modules(package)
    return {name: set(find_imports(name, path, modules.keys())) for name, path in modules.items()}


def find_circles(graph):
    """Find the strongly connected components of more than one node, by Tarjan's algorithm."""
    index, low, stack, circles = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            start = stack.index(node)
            component = sorted(stack[start:])
            del stack[start:]
            if len(component) > 1 or node in graph[node]:
                circles.append(component)

    for node in graph:
        if node not in index:
            visit(node)
    return circles


def test_no_modules_import_each_other_in_a_circle():
    graph = read_imports(PACKAGE)
    assert len(graph) > 200
    assert find_circles(graph) == []


def test_no_folder_has_more_modules_than_one_takes_in_at_a_glance():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    counts = {folder: len({*folder.glob("*.py")} - {folder / "__init__.py"}) for folder in folders}
    assert {folder: n for folder, n in counts.items() if n > MOST_MODULES} == {}


def test_the_init_of_a_room_is_its_docstring():
    for name, path in find_modules(PACKAGE).items():
        if path.name == "__init__.py" and name not in WITH_CONTENT:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{name}: move what its __init__.py does into a module"
            assert ast.get_docstring(ast.Module(body, [])), name


def test_imports_of_every_kind_are_found_in_circles(tmp_path):
    files = {
        "room/__init__.py": '"""A room."""',
        "room/first.py": "if TYPE_CHECKING:\n    from house.room import second",
        "room/second.py": "def load():\n    import house.third",
        "third.py": "from .room.first import Name",
        "alone.py": "import os\nfrom house.room import first",
        "__init__.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    circle = ["house.room.first", "house.room.second", "house.third"]
    assert find_circles(read_imports(tmp_path / "house")) == [circle]
