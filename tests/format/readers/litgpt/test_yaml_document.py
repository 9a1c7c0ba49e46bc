import sys

import pytest
import yaml

from mypt.format.errors import FormatError
from mypt.format.readers.litgpt.yaml_document import MAX_BYTES, read_yaml

LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


def read(tmp_path, text):
    path = tmp_path / "model_config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, path.name)


def test_what_litgpt_writes_is_read(tmp_path):
    held = {"a": 1, "b": None, "c": 1e-5, "d": {"e": [1, 0, 1]}, "f": True, "g": "x y"}
    assert read(tmp_path, yaml.dump(held)) == held


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "refers to parts of itself"),
        ("a: &a 1\n", "refers to parts of itself"),
        ("a: !!python/object/apply:os.mkdir [x]\n", "has the tag tag:yaml.org,2002:python"),
        ("a: !!int 3\n", "has the tag"),
        ("a: 1\nb: 2\na: 3\n", "has the field a twice"),
        ("a: {b: 1, b: 2}\n", "has the field b twice"),
        ("a: " + "[" * 17 + "]" * 17, "nests deeper than 16 levels"),
        ("[" * 50000, "nests deeper than 16 levels"),
        ("a: [1,\nb: 2", "is not YAML"),
        ("a: 2020-99-99\n", "is not YAML"),
        ("- 1\n", "is not a document with names for its fields"),
        ("1: 2\n", "is not a document with names for its fields"),
        ("", "is not a document with names for its fields"),
        ("a: 1\n---\nb: 2\n", "is not YAML"),
        (b"a: \xff\n", r"is not UTF-8 \(byte 3\)"),
        ("a: \x00\n", "is not YAML"),
        ("a: 1\n" + "#" * MAX_BYTES, "is larger than 65536 bytes"),
    ],
)
def test_anything_else_is_refused(tmp_path, text, said):
    with pytest.raises(FormatError, match=said):
        read(tmp_path, text)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(
        FormatError, match=r'needs PyYAML; install it: pip install "mypt-lm\[litgpt'
    ):
        read(tmp_path, "a: 1\n")
