"""The page of the library names what `mypt` has, with the signatures that it has."""

import ast
import inspect
import re

import attrs
import pytest

import mypt
from mypt import plugins

SECTION = re.compile(r"^##+ (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| (`.+?) \|", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
CLASS_NAME = re.compile(r"(?:mypt\.)?([A-Z]\w+)")
# What stands for an object of a class in the tables.
OBJECTS = {
    "model": "GPT",
    "loader": "GPTDataLoader",
    "manager": "CheckpointManager",
    "batch": "Batch",
    "chat": "Chat",
    "template": "ChatTemplate",
}
NOT_PUBLIC = {"cache"}  # the keys and values of `model(idx)`, which `generate` looks after


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / "reference" / "library.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(page):
    """Return the code spans in the first column of each table, by the heading above."""
    _, *parts = SECTION.split(page)
    return {
        title: [span for row in ROW.findall(body) for span in SPAN.findall(row)]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def resolve(name):
    """Return what a dotted name of the page means."""
    first, *rest = name.split(".")
    value = getattr(mypt, OBJECTS.get(first, first))
    for part in rest:
        value = getattr(value, part)
    return value


def parameters_of(function):
    described = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in described if p.name not in {"self", *NOT_PUBLIC}]


def parameters_on_page(arguments):
    namespace = {}
    exec(f"def written({arguments}): ...", namespace)
    return parameters_of(namespace["written"])


def test_every_signature_on_the_page_is_the_true_one(tables):
    written = [span for spans in tables.values() for span in spans if "(" in span]
    assert len(written) > 20
    for span in written:
        name, _, arguments = span.removesuffix(")").partition("(")
        function = resolve(name)
        if name in OBJECTS:
            function = function.forward
        if arguments != "...":  # fields, which have a table of their own
            assert parameters_on_page(arguments) == parameters_of(function), span


def test_every_public_name_is_on_the_page_and_the_other_way_round(tables):
    titles = ("Functions", "Classes", "Errors")
    named = {span.partition("(")[0] for title in titles for span in tables[title]}
    assert named == set(mypt.__all__) - {"__version__"}


def test_every_class_that_the_text_speaks_of_is_public(page):
    spoken_of = {found[1] for span in SPAN.findall(page) if (found := CLASS_NAME.match(span))}
    assert spoken_of <= {*mypt.__all__, "NAME"}


def test_every_name_that_an_example_takes_from_mypt_is_public(page):
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert blocks
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "mypt":
            assert node.attr in mypt.__all__


def test_every_member_of_what_a_callback_hears_is_in_its_table(tables):
    classes = mypt.StepEvent, mypt.EvaluationEvent
    members = {name for cls in classes for name in dir(cls) if not name.startswith("_")}
    assert set(tables["Callbacks"]) == members


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it opens a file as people do
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_loop_of_ones_own_trains(page, text, in_tmp):
    (in_tmp / "input.txt").write_text(text, encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (loop,) = [block for block in blocks if "train_batch" in block]
    names = {}
    exec(compile(loop, "the loop", "exec"), names)
    assert names["val_loss"]() < names["before"] - 0.1
    saved = mypt.get_model_info("by-hand")["training_state"]
    assert saved["step"] == 10
    assert saved["training_config"]["grad_accum_steps"] == 2


@pytest.mark.parametrize(
    "name", ["Sampling", "Continuation", "ContinuationScore", "Score", "Problem"]
)
def test_every_field_of_a_result_is_in_its_table(tables, name):
    assert tables[name] == [field.name for field in attrs.fields(getattr(mypt, name))]


def _is_of_users(cls):
    return cls.__module__.startswith(("mypt.api", "mypt.data"))


@pytest.mark.parametrize(("name", "cls"), OBJECTS.items())
def test_every_public_method_is_in_the_table_of_its_class(tables, name, cls):
    listed = {span.partition("(")[0].rpartition(".")[2] for span in tables[cls]}
    own = [base for base in getattr(mypt, cls).__mro__ if _is_of_users(base)]
    public = {method for base in own for method in vars(base) if not method.startswith("_")}
    assert public <= listed, name


@pytest.mark.parametrize(
    ("module", "loaded"), [(mypt, ["__version__"]), (plugins, [])], ids=["mypt", "plugins"]
)
def test_type_checkers_see_the_names_that_are_imported_on_first_use(module, loaded):
    tree = ast.parse(inspect.getsource(module))
    seen = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == module._HOME
    assert sorted(module.__all__) == sorted([*seen, *loaded])
