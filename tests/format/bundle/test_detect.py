import pytest

import mypt
from mypt.format.bundle.detect import classify
from mypt.format.errors import FormatError
from mypt.format.validate import validate


@pytest.mark.parametrize(
    ("files", "form"),
    [
        ({"manifest.json": b"{"}, "bundle"),
        ({"config.json": b'{"format_version": "9.9"}'}, "bundle"),
        ({"config.json": b'{"n_layer": 1}', "model.pt": b""}, "version_1"),
        ({"config.json": b"{}", "model.pt": b""}, "version_1"),
        ({"config.json": b'{"n_layer": 1}'}, "incomplete"),
        ({"config.json": b"{", "model.pt": b""}, "incomplete"),
        ({"model.pt": b""}, "incomplete"),
        ({"config.json": b'{"model_type": "gpt2"}', "model.pt": b""}, "other"),
        ({"latest.pt": b"", "tokenizer.json": b"{}"}, "other"),
        ({}, "other"),
    ],
)
def test_the_files_of_a_folder_tell_its_form(files, form, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert classify(tmp_path) == form


def test_a_file_and_nothing_at_all_are_no_bundle(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    assert classify(tmp_path / "x") == classify(tmp_path / "nowhere") == "other"


def test_a_folder_in_the_place_of_a_config_leaves_the_bundle_incomplete(tmp_path):
    (tmp_path / "config.json").mkdir()
    assert classify(tmp_path) == "incomplete"


def test_a_manifest_that_cannot_be_read_is_there_all_the_same(tmp_path):
    (tmp_path / "manifest.json").symlink_to("manifest.json")
    assert classify(tmp_path) == "bundle"
    assert any("manifest.json: cannot be read" in str(problem) for problem in validate(tmp_path))
    with pytest.raises(FormatError, match=r"manifest\.json: cannot be read"):
        mypt.load(tmp_path)
