"""What is no checkpoint is named, at every door, with what to do about it."""

import shutil
import zipfile

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.validate import validate

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
PAGE = b"<!DOCTYPE html><html></html>"


@pytest.fixture
def copy(bundle, tmp_path):
    folder = tmp_path / "cat"
    shutil.copytree(bundle, folder)
    return folder


def reasons(path, plugins):
    """What `mypt.load` says; `validate` must say the same."""
    with pytest.raises(FormatError) as caught:
        mypt.load(path)
    said = {str(problem) for problem in caught.value.problems}
    found = validate(path, plugins.layouts, plugins.readers.values(), settings=plugins.settings)
    assert said <= {str(problem) for problem in found}
    return "\n".join(sorted(said))


@pytest.mark.parametrize("name", ["model.pt", "config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("content", "what"),
    [(POINTER, "git-lfs pointer.*git lfs pull"), (PAGE, "web page"), (b"", "is empty")],
)
def test_what_lies_in_the_place_of_a_file_of_a_bundle(copy, plugins, name, content, what):
    (copy / name).write_bytes(content)
    (copy / "manifest.json").unlink()
    with pytest.raises(FormatError, match=f"{name}: .*{what}"):
        mypt.load(copy)
    assert name in reasons(copy, plugins)


def test_what_lies_in_the_place_of_weights_of_another_program(fixtures, tmp_path, plugins):
    folder = tmp_path / "hf"
    source = fixtures / "neighbours" / "hf2_gpt2_tied_but_other_head"
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    (folder / "model.safetensors").write_bytes(POINTER)
    assert "model.safetensors: is a git-lfs pointer" in reasons(folder, plugins)


def test_a_packed_bundle_is_to_be_unpacked(copy, plugins):
    for kind, what in (("zip", "zip archive of a checkpoint"), ("gztar", "gzip archive")):
        packed = shutil.make_archive(copy.parent / "packed", kind, copy.parent, "cat")
        from pathlib import Path

        said = reasons(Path(packed), plugins)
        assert f"is a {what}; unpack it, and name the folder" in said


def test_a_zip_of_something_else_is_no_checkpoint(tmp_path, plugins):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("notes.txt", "mine")
    assert "unpack" not in reasons(tmp_path / "x.zip", plugins)


def test_names_in_other_case_are_told(copy, plugins):
    (copy / "manifest.json").unlink()
    for name in ("config.json", "model.pt"):
        (copy / name).rename(copy / name.upper())
    said = reasons(copy, plugins)
    assert "CONFIG.JSON: would be read if it were called `config.json`; rename it" in said
    assert "MODEL.PT: would be read if it were called `model.pt`; rename it" in said


def test_the_files_of_a_folder_each_have_their_reason(tmp_path, plugins):
    (tmp_path / "a.pt").write_bytes(PAGE)
    (tmp_path / "b.safetensors").write_bytes(POINTER)
    torch.save({"w": torch.zeros(1)}, tmp_path / "c.pt")
    said = reasons(tmp_path, plugins)
    assert "a.pt: is a web page" in said
    assert "b.safetensors: is a git-lfs pointer" in said
