import json
import os
import subprocess
import sys

import pytest

from tests.support.installed import BROKEN, GUARD, install, install_broken, others

COMMANDS = {
    "help": ("mypt", ["--help"]),
    "plugins": ("mypt", ["plugins"]),
    "validate": ("mypt.format", ["validate", "BUNDLE"]),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Look at no package but those of the test, whatever is installed here."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "site-packages"


@pytest.fixture
def run(folder, bundle):
    """Run a command in a process of its own that finds the packages of `folder`."""

    def call(module, *words):
        words = [str(bundle) if word == "BUNDLE" else word for word in words]
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(folder)},
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def here(folder, monkeypatch):
    """Let this process find the packages of `folder`, and forget their modules."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


def assert_names(text, kind):
    (line,) = [line for line in text.splitlines() if f"plugin {kind} of" in line]
    assert f"plugin {kind} of acme-{kind} 1.0: " in line
    assert f"--disable-plugin {kind}" in line


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_survives_a_broken_plugin(command, kind, folder, run):
    install_broken(folder, kind)
    module, words = COMMANDS[command]
    code, out, err = run(module, *words)
    assert code == 0, err
    assert out
    if command == "plugins":
        assert_names(err, kind)
        assert kind in out
    else:
        assert err == ""  # it needs no plugin, and so imports none

    code, out, err = run(module, "--strict-plugins", *words)
    assert code == 1, out
    assert_names(err, kind)
    assert err.startswith("error: ")

    code, _, err = run(module, "--strict-plugins", "--disable-plugin", kind, *words)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("kind", BROKEN)
def test_generating_survives_a_broken_plugin(kind, folder, here, cli, bundle):
    install_broken(folder, kind)
    words = ["generate", "--model_name", bundle, "--max_new_tokens", "2", "--prompt", "the"]
    code, out, err = cli(*words)
    assert (code, err) == (0, "")
    assert out.startswith("the")
    code, out, err = cli("--strict-plugins", *words)
    assert (code, out) == (1, "")
    assert_names(err, kind)
    assert cli("--strict-plugins", "--disable-plugin", f"acme-{kind}", *words)[0] == 0


def test_a_command_that_needs_a_plugin_names_the_broken_ones_once(folder, here, cli, in_tmp, text):
    install_broken(folder, "import_error")
    (in_tmp / "input.txt").write_text(text)
    code, _, err = cli(
        "train", "--model_name", "m", "--input_file", "input.txt", "--max_iters", 1,
        "--eval_iters", 1, "--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8,
        "--tokenization", "char", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    assert_names(err, "import_error")
    assert err.count("import_error of") == 1


TRAIN = (
    *("train", "--model_name", "m", "--input_file", "input.txt", "--max_iters", 2),
    *("--eval_iters", 1, "--eval_interval", 1, "--n_layer", 1, "--n_embd", 8, "--n_head", 1),
    *("--block_size", 8, "--tokenization", "char", "--device", "cpu"),
)
NAMED_FIVE = """
from mypt.plugins import GuardFactory, hookimpl

@hookimpl
def mypt_gold_guards():
    return [GuardFactory("mine", dict, options={"type": "nmber"}), GuardFactory(5, dict)]
"""


def test_a_guard_that_is_offered_badly_is_named_by_training(folder, here, cli, in_tmp, text):
    install(folder, "acme-five", NAMED_FIVE, entry="five", module="acme_five")
    (in_tmp / "input.txt").write_text(text)
    code, _, err = cli(*TRAIN, "--gold_guards", '{"mine": {"limit": 3}}')
    assert code == 1
    *warnings, error = err.splitlines()
    assert [line.split(", whose ")[0] for line in warnings] == [
        f"warning: plugin five of acme-five 1.0: offers the gold guard `{name}`"
        for name in ("mine", 5)
    ]
    assert error.startswith("error: --gold_guards: there is no gold guard `mine`; use one of: ")


FAILING = GUARD.replace("Verdict(None, {{}})", "None")


def test_a_guard_that_fails_at_every_evaluation_is_the_last_word(folder, here, cli, in_tmp, text):
    install(folder, "acme-fail", FAILING.format(name="mine"), entry="fail", module="acme_fail")
    (in_tmp / "input.txt").write_text(text)
    code, out, err = cli(*TRAIN, "--gold_guards", '{"mine": {}}')
    assert (code, err) == (0, "")
    start = "  No GOLD checkpoint; what blocked it at step 2: plugin fail of acme-fail 1.0: failed"
    assert out.splitlines()[-1].startswith(start)
    code, out, _ = cli(*TRAIN, "--max_iters", 3, "--gold_guards", '{"mine": false}')
    assert code == 0
    assert "Best (GOLD)" in out.splitlines()[-1]


def test_help_waits_for_strict_plugins_wherever_that_stands(folder, run):
    install_broken(folder, "exits")
    assert run("mypt", "--help", "--strict-plugins")[0] == 1
    assert run("mypt", "--strict-plugins", "--help", "--disable-plugin", "exits")[0] == 0


def test_ctrl_c_in_a_plugin_ends_the_command(folder, run):
    install(folder, "acme-c", "raise KeyboardInterrupt", module="acme_c")
    code, _, err = run("mypt", "plugins")
    assert (code, err.strip()) == (1, "interrupted")


def test_what_a_plugin_prints_is_no_part_of_an_answer(folder, run):
    install(folder, "acme-loud", "print('hello')", module="acme_loud")
    code, out, err = run("mypt", "plugins", "--json")
    assert code == 0
    json.loads(out)
    assert err == "hello\n"


def test_metadata_that_cannot_be_read_hides_no_other_plugin(folder, run):
    install(folder, "acme-good", GUARD.format(name="good"), module="acme_good")
    install(folder, "acme-bad", "", module="acme_bad")
    (folder / "acme_bad-1.0.dist-info" / "entry_points.txt").write_text("[mypt]\nno equals sign\n")
    code, out, err = run("mypt", "plugins")
    assert code == 0
    assert "good (acme-good 1.0)" in out
    assert "acme-bad" in err


def test_two_plugins_of_one_name_are_both_named(folder, run):
    install(folder, "acme-a", GUARD.format(name="a"), entry="guards2", module="acme_a")
    install(folder, "acme-b", GUARD.format(name="b"), entry="guards2", module="acme_b")
    code, out, err = run("mypt", "plugins", "--json")
    assert code == 0
    assert err == ""
    plugins = {plugin["package"]: plugin for plugin in json.loads(out)["plugins"]}
    assert plugins["acme-a"]["state"] == "works"
    assert plugins["acme-b"]["state"] == "duplicate"
    (fault,) = plugins["acme-b"]["faults"]
    assert "plugin guards2 of acme-b 1.0" in fault
    assert "plugin guards2 of acme-a 1.0" in fault
    assert "--disable-plugin acme-b" in fault


def test_the_list_says_what_each_plugin_offers_and_what_is_off(folder, run):
    install(folder, "acme-good", GUARD.format(name="lenient"), entry="good", module="acme_good")
    install(folder, "acme-off", GUARD.format(name="unused"), entry="off", module="acme_off")
    code, out, err = run("mypt", "--disable-plugin", "off", "plugins", "--json")
    assert (code, err) == (0, "")
    listed = json.loads(out)
    plugins = {plugin["name"]: plugin for plugin in listed["plugins"]}
    assert plugins["good"]["offers"] == {"guards": ["lenient"]}
    assert plugins["good"]["state"] == "works"
    assert plugins["off"]["state"] == "off"
    assert "char" in plugins["mypt.tokenizers.plugin"]["offers"]["tokenizers"]
    guards = {guard["name"]: guard["package"] for guard in listed["guards"]}
    assert guards["lenient"] == "acme-good"
    assert guards["overfit"] == "mypt-lm"
    assert "unused" not in guards


BYTES = """
import numpy as np
from mypt.plugins import TokenizerFactory, hookimpl

class Bytes:
    token_kind, n_vocab, vocab_size = "acme_bytes", 256, 256

    def encode(self, text):
        return self.encode_array(text).tolist()

    def encode_array(self, text):
        return np.frombuffer(text.encode(), np.uint8).astype(np.uint32)

    def decode(self, ids):
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids):
        return bytes(ids)

    def state(self):
        return {"token_kind": "acme_bytes"}

@hookimpl
def mypt_tokenizers():
    return [TokenizerFactory("acme_bytes", build=lambda _: Bytes(), train=lambda _: Bytes())]
"""


@pytest.mark.parametrize("is_off", [True, False])
def test_what_is_switched_off_is_so_in_other_processes_too(folder, run, tmp_path, is_off):
    mark = f"import os, pathlib\npathlib.Path({str(tmp_path)!r}, f'pid{{os.getpid()}}').touch()"
    install(folder, "acme-bytes", BYTES, module="acme_bytes")
    install(folder, "acme-mark", mark, module="acme_mark")
    (tmp_path / "input.txt").write_text("the cat sat on the mat\n" * 400)
    off = ["--disable-plugin", "acme-mark"] if is_off else []
    made = ["--output", str(tmp_path / "set"), "--tokenization", "acme_bytes", "--workers", "2"]
    code, _, err = run("mypt", *off, "data", "prepare", str(tmp_path / "input.txt"), *made)
    assert code == 0, err
    imported = len([*tmp_path.glob("pid*")])
    assert imported == 0 if is_off else imported > 1


def test_a_person_reads_a_line_for_each_package(folder, run):
    code, out, err = run("mypt", "plugins")
    assert (code, err) == (0, "")
    assert "Tokenizers:\n  char, gpt2 (mypt-lm " in out
    assert "  norm_type layernorm, rmsnorm (mypt-lm " in out
    assert out.count(": off") == len(set(others().split(",")))
    install(folder, "acme-good", GUARD.format(name="lenient"), entry="good", module="acme_good")
    out = run("mypt", "plugins")[1]
    assert "\n  lenient (acme-good 1.0)\n" in out
    assert "\n  good (acme-good 1.0)\n" in out
    assert "plugin" not in out.partition("Plugins:")[2]  # those of mypt go without saying


def test_switching_off_what_is_not_there_is_said_and_no_failure(cli, bundle):
    code, _, err = cli("--disable-plugin", "lenient", "inspect", "--model_name", bundle)
    assert code == 0
    assert err == (
        "warning: --disable-plugin lenient: is neither a plugin nor a package with plugins; "
        "see: mypt plugins\n"
    )


def test_a_built_in_plugin_can_be_switched_off_like_any_other(cli):
    code, out, _ = cli("--disable-plugin", "mypt.tokenizers.plugin", "plugins", "--json")
    assert code == 0
    assert json.loads(out)["tokenizers"] == []


def test_the_starter_has_tests_that_pass(cli, tmp_path):
    code, out, _ = cli("plugins", "new", "mypt-mine", "--output", tmp_path / "mine")
    assert code == 0
    assert "pyproject.toml" in out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "mine")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path / "mine",
    )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


RUFF = ("ruff", "check", "--isolated", "--select=E,F,I,N,UP,B,SIM,ANN,RUF", "--line-length=100")
FORMAT = ("ruff", "format", "--isolated", "--check", "--line-length=100")
MYPY = ("mypy", "--strict", "--follow-imports=silent")


@pytest.mark.parametrize(
    ("check", "name"),
    [
        *((ruff, name) for ruff in (RUFF, FORMAT) for name in ("mypt-mine", "Zebra.Long-Guards")),
        pytest.param(MYPY, "mypt-mine", marks=pytest.mark.slow),
    ],
)
def test_the_starter_is_clean_for_linters(check, name, cli, tmp_path):
    assert cli("plugins", "new", name, "--output", tmp_path / "mine")[0] == 0
    done = subprocess.run(
        [sys.executable, "-m", *check, "."],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path / "mine",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_starter_whose_name_has_that_of_the_template_in_it_is_renamed_once(cli, tmp_path):
    assert cli("plugins", "new", "mypt-starter-kit", "--output", tmp_path / "kit")[0] == 0
    assert (tmp_path / "kit" / "mypt_starter_kit" / "plugin.py").is_file()
    assert (
        'NAME = "starter_kit"' in (tmp_path / "kit" / "mypt_starter_kit" / "plugin.py").read_text()
    )
    assert 'name = "mypt-starter-kit"' in (tmp_path / "kit" / "pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["../up", "1st", "", "a b"])
def test_a_starter_needs_a_name_that_a_package_can_have(name, cli, in_tmp):
    code, _, err = cli("plugins", "new", name)
    assert code == 2
    assert err.startswith("error: ")
    assert not any(in_tmp.iterdir())


@pytest.mark.parametrize("name", ["json", "class", "mypt", "Tests"])
def test_a_starter_whose_name_is_taken_is_told_so(name, cli, in_tmp):
    code, _, err = cli("plugins", "new", name)
    assert code == 2
    assert err == (
        f"error: {name}: would be the module `{name.lower()}`, a name that Python, mypt or its "
        f"tests use; choose another name, such as mypt-{name.lower()}\n"
    )


def test_a_starter_hides_no_package_that_is_installed(cli, in_tmp):
    for name in ("torch", "pluggy"):
        code, _, err = cli("plugins", "new", name)
        assert code == 2
        assert f"the module `{name}`, which is installed already, and which it would hide; " in err
    assert not any(in_tmp.iterdir())


def test_a_starter_is_never_written_over_something(cli, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert cli("plugins", "new", "mine", "--output", tmp_path / "mine")[0] == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
