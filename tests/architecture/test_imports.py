"""What must not be imported by whom, seen from a fresh process."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.installed import install, others

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
# The modules that the entry points of mypt's own plugins name.
ENTRIES = sorted(
    module
    for path in PLUGINS.glob("*/pyproject.toml")
    for group in tomllib.loads(path.read_text())["project"].get("entry-points", {}).values()
    for module in group.values()
)
# What the functions of these plugins are made with.
LIBRARIES = {
    *("jsonschema", "numpy", "pyarrow", "pytorch_optimizer", "regex", "starlette", "tensorboard"),
    *("tiktoken", "tokenizers", "torch", "uvicorn", "wandb"),
}
# What documents and weights are read with.
ROOMS = {
    f"mypt.format.{room}"
    for room in ("documents", "layout", "migrations", "optimizers", "schema", "storage", "tensors")
}


def modules_after(code, cwd=None):
    """Names of the modules loaded after `code` ran in a fresh process."""
    program = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(done.stdout.splitlines())


def command(*arguments):
    return (
        "from mypt.cli.main import main\n"
        f"try:\n    main({list(arguments)!r})\nexcept SystemExit as end:\n    assert not end.code"
    )


def test_import_mypt_loads_neither_torch_nor_numpy():
    loaded = modules_after("import mypt")
    assert "mypt.format.version" in loaded
    assert not loaded & {"torch", "numpy", "attrs", "jsonschema", "click"}


def test_public_names_that_hold_no_tensors_do_not_import_torch():
    loaded = modules_after(
        "import mypt; mypt.load, mypt.load_plugins, mypt.Continuation, mypt.OutOfMemoryError,"
        "mypt.Problem, mypt.Sampling, mypt.TrainingState, mypt.UsageError"
    )
    assert "torch" not in loaded


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("train", "--help"),
        ("configs",),
        ("plugins",),
        ("format", "validate", "BUNDLE"),
        ("inspect", "--model_name", "BUNDLE"),
    ],
)
def test_commands_that_need_no_weights_do_not_import_torch(arguments, bundle):
    named = [str(bundle) if word == "BUNDLE" else word for word in arguments]
    assert "torch" not in modules_after(command(*named))


def test_looking_at_a_bundle_from_python_does_not_import_torch(bundle):
    loaded = modules_after(f"import mypt; mypt.get_model_info({str(bundle)!r})")
    assert "torch" not in loaded


def test_opening_a_bundle_loads_no_reader_of_other_files(bundle):
    loaded = modules_after(f"import mypt; mypt.load({str(bundle)!r})")
    programs = ("build_llm", "gguf", "hugging_face", "litgpt", "llama2c")
    assert not loaded & {f"mypt.format.readers.{name}.reader" for name in programs}
    assert "mypt.format.readers.containers" not in loaded


def test_help_imports_no_command():
    no_plugin = "import importlib.metadata as m; m.entry_points = lambda **_: ()\n"
    loaded = modules_after(no_plugin + command("--help"))
    commands = {name for name in loaded if name.startswith("mypt.cli.")}
    names = ("command_table", "options", "options.plugins", "plugin_commands", "terminal")
    shared = {f"mypt.cli.{name}" for name in (*names, "typed_command")}
    assert commands == {"mypt.cli.main", "mypt.cli.standard_output", "mypt.cli.tracebacks", *shared}
    assert not loaded & {"attrs", "numpy", "rich"}


def test_help_with_a_command_of_a_plugin_loads_what_a_command_is_and_nothing_else(
    tmp_path, monkeypatch
):
    """It asks what commands there are, and so needs no document, other contract or library."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    code = "from mypt.plugins import CommandFactory, hookimpl\n@hookimpl\ndef mypt_commands():\n"
    code += "    return [CommandFactory('greet', 'Greet.', load=print)]\n"
    install(tmp_path, "acme", code, group="mypt.commands")
    add = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    loaded = modules_after(add + command("--help"))
    assert "acme" in loaded
    assert {name for name in loaded if name.startswith("mypt.plugins.")} == {
        *("mypt.plugins.contracts", "mypt.plugins.contracts.command"),
        "mypt.plugins.contracts.fields",
        *(f"mypt.plugins.{name}" for name in ("faults", "hookspecs", "isolation")),
        *(f"mypt.plugins.{name}" for name in ("loader", "manager", "packages", "registry")),
    }
    assert not loaded & ROOMS
    assert not loaded & {"jsonschema", "numpy", "rich", "torch"}


def test_help_with_all_plugins_of_mypt_loads_no_document_and_no_library_of_schemas():
    loaded = modules_after(command("--help"))
    assert "mypt_serve.plugin" in loaded
    assert not loaded & ROOMS
    assert not loaded & {"mypt.plugins.contracts.part", "mypt.plugins.results"}
    assert not loaded & {"jsonschema", "numpy", "rich", "torch"}


@pytest.mark.parametrize("module", ENTRIES)
def test_the_entry_point_of_a_plugin_imports_what_registering_takes(module):
    loaded = modules_after(f"import {module}")
    assert module in loaded
    kit = {"mypt.plugins.manager", "mypt.plugins.registry", "mypt.plugins.nn", "mypt.testing"}
    assert not loaded & (kit | {"mypt.format.readers.shared", "mypt.format.storage"})
    assert not loaded & LIBRARIES


def test_a_sound_bundle_is_validated_with_little_more_than_the_standard_library(bundle):
    loaded = modules_after(command("format", "validate", str(bundle)))
    packages = {name.partition(".")[0] for name in loaded}
    assert not packages & {"jsonschema", "numpy", "pluggy", "rich", "torch"}
    assert not loaded & {
        "importlib.resources",
        "mypt.format.documents.training",
        "mypt.format.schema.validator",
    }


def test_the_format_needs_no_other_part_of_mypt():
    loaded = modules_after(
        "import mypt.format.validate, mypt.format.bundle.read, mypt.format.storage.commit"
    )
    parts = {name.split(".")[1] for name in loaded if name.startswith("mypt.")}
    assert parts == {"format"}
    assert not loaded & {"torch", "numpy"}


def test_plugins_that_are_looked_up_do_not_import_torch():
    loaded = modules_after(
        "from mypt.plugins.manager import load_plugins; p = load_plugins();"
        "p.tokenizers, p.parts, p.guards, p.sinks, p.readers, p.layouts"
    )
    assert not loaded & {"torch", "tiktoken"}


def test_looking_up_what_mypt_itself_has_imports_no_schema_library(monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    assert "jsonschema" not in modules_after(
        "from mypt.plugins.manager import load_plugins; load_plugins().registries()"
    )
