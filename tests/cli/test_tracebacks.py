import logging
import sys

import pytest

from mypt.format.errors import TRACEBACK_LOGGER
from tests.support.installed import install, others

# It fails wherever mypt calls it.
FAILING = """
from mypt.plugins import GuardFactory, ReaderFactory, SinkFactory, TokenizerFactory, hookimpl

def fail(*given):
    raise RuntimeError("not today")

class Sink:
    emit = close = fail

@hookimpl
def mypt_gold_guards():
    return [GuardFactory("failing", lambda options: fail)]

@hookimpl
def mypt_log_sinks():
    return [SinkFactory("failing", lambda run: Sink()), SinkFactory("unbuilt", fail)]

@hookimpl
def mypt_tokenizers():
    return [TokenizerFactory("failing", build=fail, train=fail)]

@hookimpl
def mypt_legacy_readers():
    return [ReaderFactory("failing", recognises=lambda p: p.suffix == ".odd", read=fail)]
"""
TRAIN = (
    *("train", "--model_name", "m", "--input_file", "input.txt", "--device", "cpu"),
    *("--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8, "--batch_size", 2),
    *("--max_iters", 2, "--eval_interval", 2, "--eval_iters", 1, "--tokenization"),
)
COMMANDS = {
    "a tokenizer": (*TRAIN, "failing"),
    "a guard and sinks": (
        *(*TRAIN, "char", "--gold_guards", '{"failing": {}}'),
        *("--log_sinks", '{"failing": {}, "unbuilt": {}}'),
    ),
    "a reader": ("inspect", "--model_name", "file.odd"),
    "a reader that is asked by validate": ("format", "validate", "file.odd"),
    "a reader that is asked by migrate": ("format", "migrate", "--all", "file.odd"),
    "a plugin that cannot be imported": ("plugins",),
}


@pytest.fixture
def installed(in_tmp, text, monkeypatch):
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    install(in_tmp / "packages", "acme-failing", FAILING, module="acme_failing")
    install(in_tmp / "packages", "acme-ill", "import acme_nothing", module="acme_ill")
    monkeypatch.syspath_prepend(in_tmp / "packages")
    (in_tmp / "input.txt").write_text(text)
    (in_tmp / "file.odd").write_text("of another program")
    yield
    sys.modules.pop("acme_failing", None)


@pytest.mark.parametrize("what", COMMANDS)
def test_what_a_plugin_raised_is_shown_beside_the_line(what, installed, cli, monkeypatch, in_tmp):
    code, out, err = cli(*COMMANDS[what])
    assert "Traceback" not in out + err
    (in_tmp / "checkpoints").rename("before") if (in_tmp / "checkpoints").exists() else None
    wanted = "acme_nothing" if "import" in what else "RuntimeError: not today"
    file = "acme_ill.py" if "import" in what else "acme_failing.py"
    again, shown, told = cli("--traceback", *COMMANDS[what])
    assert again == code
    assert "Traceback (most recent call last):" in told
    assert f'{file}", line' in told
    assert wanted in told
    assert "Traceback" not in shown
    if what != "a guard and sinks":  # whose times differ
        assert shown == out
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert told.splitlines()[len(told.splitlines()) - len(errors) :] == errors
    monkeypatch.setenv("MYPT_TRACEBACK", "1")
    if what == "a reader":
        assert cli(*COMMANDS[what]) == (again, shown, told)


def test_each_place_that_goes_on_is_shown(installed, cli):
    code, _, err = cli("--traceback", *COMMANDS["a guard and sinks"])
    assert code == 0
    for place in ("in emit", "in _ask_guard", "in open_sinks", "in load"):
        assert place in err


def test_a_fault_of_all_plugins_is_shown_too(installed, cli):
    code, _, err = cli("--traceback", "--strict-plugins", "plugins")
    assert code == 1
    assert "No module named 'acme_nothing'" in err
    assert 'acme_ill.py", line 1' in err


def test_it_may_stand_before_either_command(installed, cli):
    first = cli("--traceback", "format", "validate", "file.odd")
    assert cli("format", "--traceback", "validate", "file.odd") == first
    assert cli("--traceback", "format", "--traceback", "validate", "file.odd") == first


def test_what_mypt_says_itself_has_no_cause_to_show(cli, refused, in_tmp):
    line = refused("generate", "--model_name", "nothing", code=2)
    code, _, err = cli("--traceback", "generate", "--model_name", "nothing")
    assert code == 2
    assert err.endswith(line)
    assert err.startswith("Traceback")  # where it was found out
    (in_tmp / "config.json").write_text("{")
    code, _, err = cli("--traceback", "format", "validate", "config.json")
    assert code == 1


def test_the_logger_is_as_before(cli, in_tmp):
    logger = logging.getLogger(TRACEBACK_LOGGER)
    before = (logger.level, list(logger.filters))
    cli("--traceback", "generate", "--model_name", "nothing")
    assert (logger.level, list(logger.filters)) == before
