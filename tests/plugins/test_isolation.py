import pytest

from mypt.format.errors import ConfigError, FormatError, PluginError
from mypt.format.readers.contract import ReaderFactory
from mypt.plugins import GuardFactory
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.isolation import isolate_factory, summarize_error

ORIGIN = PluginOrigin("acme", "acme-tools", "1.0")


def fail(*_):
    raise ValueError("first line\nsecond line")


def refuse(*_):
    raise ConfigError()


def isolate(factory, noted=None):
    return isolate_factory(factory, "thing", ORIGIN, [].append if noted is None else noted.append)


def test_an_error_becomes_one_line_that_names_the_plugin():
    with pytest.raises(PluginError) as refused:
        isolate(GuardFactory("x", fail)).build({})
    said = str(refused.value)
    assert "plugin acme of acme-tools 1.0: failed in `build` of its thing" in said
    assert "ValueError: first line" in said
    assert "second" not in said


def test_what_a_plugin_says_to_its_user_is_passed_on():
    with pytest.raises(ConfigError):
        isolate(GuardFactory("x", refuse)).build({})


def test_a_guard_is_isolated_too_once_it_is_built():
    judge = isolate(GuardFactory("x", lambda options: fail)).build({})
    with pytest.raises(PluginError, match="failed in `judge`"):
        judge(None, {})


def test_a_reader_that_cannot_say_whether_it_knows_a_file_knows_none(tmp_path):
    noted = []
    reader = isolate(ReaderFactory("x", recognises=fail, read=fail), noted)
    assert reader.recognises(tmp_path) is False
    assert len(noted) == 1
    with pytest.raises(FormatError, match="failed in `read`"):
        reader.read(tmp_path, None, {})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_an_error_is_summarized_in_one_line(error, said):
    assert summarize_error(error) == said
