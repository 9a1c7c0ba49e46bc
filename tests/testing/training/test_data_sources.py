"""The kit finds nothing wrong with sound data sources, and what is wrong with others."""

import pytest

import mypt.data.plugin
from mypt.plugins import DataSourceFactory
from mypt.testing import ContractError, check_data_source


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\none\ntwo\n")
    return path


def recognises(source):
    return source.name.endswith(".csv")


def read(source, options):
    with source.open() as stream:
        next(stream, b"")
        for line in stream:
            yield line.decode().rstrip("\n")


def factory(**changed):
    return DataSourceFactory("csv", **{"recognises": recognises, "read": read, **changed})


def test_nothing_is_wrong_with_what_comes_with_mypt(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b"}')
    lines, _ = mypt.data.plugin.mypt_data_sources()
    assert check_data_source(lines, tmp_path / "a.jsonl") == ["a", "b"]


def test_nothing_is_wrong_with_a_sound_one(file):
    assert check_data_source(factory(), file) == ["one", "two"]


def by_path(source, options):
    return source.path.read_text().splitlines()[1:]


LEFT = iter(["one"])


def by_iterator(source, options):
    return LEFT


def raising(source, options):
    with source.open() as stream:
        for line in stream:
            yield line.decode().split(",")[9]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"recognises": lambda source: False}, r"does not recognise a\.csv"),
        ({"recognises": lambda source: True}, "it recognises a plain text"),
        ({"recognises": lambda source: source.path.suffix == ".csv"}, r"recognise a\.csv\.gz"),
        ({"read": by_path}, r"a\.csv\.gz"),
        ({"read": by_iterator}, "a second pass has other documents"),
        ({"read": raising}, "a first pass: it raises IndexError"),
        ({"read": lambda source, options: [5]}, "returns 5 as a text"),
        ({"read": lambda source, options: "one two"}, "returns str, not an iterable of documents"),
        ({"read": lambda source, options: exit(3)}, "a first pass: it raises SystemExit: 3"),
        ({"options": {"type": 5}}, "its `options` is"),
    ],
)
def test_what_is_wrong_is_said(file, changed, what):
    with pytest.raises(ContractError, match=what):
        check_data_source(factory(**changed), file)
