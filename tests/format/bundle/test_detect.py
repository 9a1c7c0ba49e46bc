import pytest

from mypt.format.bundle.detect import classify


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
