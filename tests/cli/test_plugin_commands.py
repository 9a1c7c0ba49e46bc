"""Commands of plugins, beside mypt's own."""

import sys

import pytest

from tests.support.installed import install, others

GREET = """
import click
from mypt.format.errors import ConfigError, Problem
from mypt.plugins import CommandFactory, hookimpl

def load():
    import acme_heavy
    @click.command()
    @click.option("--how_often", default=1)
    def greet(how_often):
        "Greet."
        if how_often == 0:
            raise ConfigError(Problem("", "how_often", "is 0", "greet at least once"))
        if how_often < 0:
            raise RuntimeError("less than nothing")
        click.echo("hello " * how_often)
    return greet

@hookimpl
def mypt_commands():
    return [CommandFactory("{name}", "Greet the user.", load=load)]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of packages that this process finds, and no others with plugins."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    (tmp_path / "acme_heavy.py").write_text("")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


def offer(folder, package="acme-greet", name="greet", group="mypt.commands", code=GREET):
    module = package.replace("-", "_")
    install(folder, package, code.replace("{name}", name), module=module, group=group)


def test_a_command_runs_and_is_in_the_help_which_does_not_import_it(cli, folder):
    offer(folder)
    code, out, err = cli("--help")
    assert (code, err) == (0, "")
    assert out.endswith("Commands of plugins:\n  greet  Greet the user.\n")
    assert "acme_heavy" not in sys.modules
    assert cli("greet", "--how-often", "2") == (0, "hello hello \n", "")


def test_the_help_calls_no_other_hook(cli, folder):
    other = "\n@hookimpl\ndef mypt_log_sinks():\n    import acme_heavy\n    return []\n"
    offer(folder, code=GREET + other)
    assert "  greet  Greet" in cli("--help")[1]
    assert "acme_heavy" not in sys.modules
    assert cli("greet") == (0, "hello \n", "")


def test_the_help_names_a_package_whose_entry_points_cannot_be_read(cli, folder):
    offer(folder)
    offer(folder, package="beta-odd", name="odd")
    (folder / "beta_odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[mypt.commands]\n\xff")
    code, out, err = cli("--help")
    assert (code, err.count("\n")) == (0, 1)
    assert "of beta-odd 1.0: its entry points cannot be read (UnicodeDecodeError" in err
    assert out.endswith("Commands of plugins:\n  greet  Greet the user.\n")


def test_one_of_the_common_group_runs_too_and_the_help_does_not_ask_it(cli, folder):
    offer(folder, group="mypt")
    assert cli("greet") == (0, "hello \n", "")
    del sys.modules["acme_greet"]
    assert "greet" not in cli("--help")[1]
    assert "acme_greet" not in sys.modules


def test_an_error_for_the_user_is_one_line_and_any_other_names_the_plugin(cli, folder):
    offer(folder)
    code, _, err = cli("greet", "--how_often", "0")
    assert (code, err) == (1, "error: how_often: is 0; greet at least once\n")
    code, _, err = cli("greet", "--how_often", "-1")
    assert code == 1
    assert err.startswith("error: plugin acme-greet of acme-greet 1.0: failed in `invoke` of its")
    assert err.count("\n") == 1
    assert "RuntimeError: less than nothing" in err
    code, _, err = cli("greet", "--hw_often", "1")
    assert (code, "did you mean `--how_often`?" in err) == (2, True)


def test_a_command_of_mypt_stays_its_own(cli, folder):
    offer(folder, name="list")
    assert cli("list", "--help")[1].startswith("Usage: mypt list")
    code, out, err = cli("plugins")
    assert (code, "offers the command `list`, which plugin mypt.cli.plugin" in err) == (0, True)
    assert "Commands:\n  train, " in out


def test_a_name_that_two_plugins_offer_is_neithers(cli, folder):
    offer(folder)
    offer(folder, package="beta-greet")
    assert "  greet" not in cli("--help")[1]
    code, _, err = cli("greet")
    assert code == 1
    assert "offered by both plugin acme-greet of acme-greet 1.0 and plugin beta-greet" in err


def test_a_broken_plugin_is_named_and_stops_nothing(cli, folder):
    offer(folder, code="import a_module_that_nobody_has")
    for words in (("--help",), ("greet",)):
        code, out, err = cli(*words)
        assert "plugin acme-greet of acme-greet 1.0: cannot be loaded" in err
        assert err.count("cannot be loaded") == 1
        assert code == (0 if out else 2)


def test_a_command_that_cannot_be_imported_is_one_line(cli, folder):
    offer(folder)
    (folder / "acme_heavy.py").write_text("raise RuntimeError('no')")
    code, _, err = cli("greet")
    assert (code, err.count("\n")) == (1, 1)
    assert "failed in `load` of its command `greet`: RuntimeError: no" in err


def test_a_disabled_plugin_has_no_commands(cli, folder):
    offer(folder)
    assert "greet" not in cli("--disable-plugin", "acme-greet", "--help")[1]
    assert cli("--disable-plugin", "acme-greet", "greet")[0] == 2


def test_a_missing_server_says_what_to_install(cli):
    code, _, err = cli("serve")
    assert code == 2
    assert "No such command 'serve': a server with OpenAI's API" in err
    assert "pip install mypt-serve" in err
