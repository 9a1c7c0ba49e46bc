"""What must not be imported by whom, seen from a fresh process."""

import subprocess
import sys

import pytest

from tests.support.installed import others


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


def test_help_imports_no_command():
    no_plugin = "import importlib.metadata as m; m.entry_points = lambda **_: ()\n"
    loaded = modules_after(no_plugin + command("--help"))
    commands = {name for name in loaded if name.startswith("mypt.cli.")}
    names = ("command_table", "options", "options.plugins", "plugin_commands", "terminal")
    shared = {f"mypt.cli.{name}" for name in (*names, "typed_command")}
    assert commands == {"mypt.cli.main", "mypt.cli.standard_output", "mypt.cli.tracebacks", *shared}
    assert not loaded & {"attrs", "numpy", "rich"}


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
