"""What reads a file: by name and content, or as the user says."""

from types import SimpleNamespace

import pytest

from mypt.data.input_files import read_input, sources_of
from mypt.data.sources.choice import SourceChoice
from mypt.data.sources.input_source import InputSource
from mypt.format.errors import ConfigError, DataError, PluginError
from mypt.plugins import DataSourceFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

NUMBERS = {"properties": {"least": {"type": "integer"}}, "additionalProperties": False}


def read_numbers(source, options):
    paths = sorted(source.path.iterdir()) if source.is_folder else [source.path]
    for path in paths:
        for line in path.read_text().split():
            if line == "crash":
                raise KeyError(line)
            if int(line) >= options.get("least", 0):
                yield [line, "."]


def recognise_numbers(source):
    if source.is_folder:
        return source.path.name.endswith(".numbers")
    return source.name.endswith(".num") or source.head.startswith(b"1 2 3")


@pytest.fixture
def plugins():
    factory = DataSourceFactory(
        "numbers", recognises=recognise_numbers, read=read_numbers, options=NUMBERS
    )
    made = load_plugins()
    hooks = SimpleNamespace(mypt_data_sources=hookimpl(lambda: [factory]))
    hooks.mypt_data_sources.__name__ = "mypt_data_sources"
    made.register(hooks, PluginOrigin("mine", "my-package", "1.0"))
    return made


def documents(text):
    return ["".join(pieces) for pieces in text.documents()]


def test_a_plugin_reads_files_by_name_and_by_content(plugins, in_tmp):
    (in_tmp / "folder").mkdir()
    (in_tmp / "folder" / "a.num").write_text("7 8")
    (in_tmp / "folder" / "b").write_text("1 2 3")
    (in_tmp / "folder" / "c.txt").write_text("4 5")
    (in_tmp / "folder" / "d.numbers").mkdir()
    (in_tmp / "folder" / "d.numbers" / "x.txt").write_text("9")
    choice = SourceChoice.of(plugins, None, {"least": 2})
    text = read_input(["folder"], choice)
    assert documents(text) == ["7.", "8.", "2.", "3.", "4 5", "9."]
    assert [one.name for one in sources_of([text])] == ["numbers", "numbers", "text", "numbers"]
    choice.check_options(sources_of([text]))


def test_one_that_is_named_reads_everything(plugins, in_tmp):
    (in_tmp / "c.txt").write_text("4 5")
    assert documents(read_input(["c.txt"], SourceChoice.of(plugins, "numbers"))) == ["4.", "5."]
    (in_tmp / "a.jsonl").write_text('{"text": "a"}')
    as_it_is = read_input(["a.jsonl"], SourceChoice.of(plugins, "text"))
    assert documents(as_it_is) == ['{"text": "a"}']
    with pytest.raises(PluginError, match=r"data source `jsonlines`; available: .*jsonl"):
        SourceChoice.of(plugins, "jsonlines")


def test_an_option_that_nobody_has_is_refused_and_others_go_to_their_source(plugins, in_tmp):
    (in_tmp / "a.num").write_text("7")
    (in_tmp / "b.jsonl").write_text('{"body": "b"}')
    choice = SourceChoice.of(plugins, None, {"least": 2, "field": "body"})
    text = read_input(["a.num", "b.jsonl"], choice)
    choice.check_options(sources_of([text]))
    assert documents(text) == ["7.", "b"]
    for options in ({"least": 2, "fields": "body"}, {"least": "2"}, {"field": ""}):
        with pytest.raises(ConfigError, match="data_options/"):
            SourceChoice.of(plugins, None, options).check_options(sources_of([text]))
    with pytest.raises(ConfigError, match="data_options"):
        SourceChoice.of(plugins, None, [1])


def test_a_plugin_that_fails_is_named_in_one_line(plugins, in_tmp):
    (in_tmp / "a.num").write_text("7 crash")
    with pytest.raises(PluginError) as caught:
        documents(read_input(["a.num"], SourceChoice.of(plugins)))
    message = str(caught.value)
    assert "plugin mine of my-package 1.0" in message
    assert "failed in `read` of its data source `numbers` on a.num: KeyError" in message
    assert "\n" not in message


def test_a_file_that_is_missing_is_named(plugins, in_tmp):
    with pytest.raises(DataError, match="nowhere: there is no such file"):
        read_input(["nowhere"], SourceChoice.of(plugins, "jsonl"))


def test_a_folder_that_nobody_reads_as_a_whole_is_none_of_theirs(plugins, tmp_path):
    assert SourceChoice.of(plugins).find(InputSource(tmp_path)) is None
    assert SourceChoice.of(plugins, "text").find(InputSource(tmp_path)) is None
