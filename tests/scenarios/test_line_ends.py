"""A bundle whose JSON documents got other line ends, as git makes them, is the same bundle."""

import json
import shutil

import pytest
import torch

import mypt


@pytest.fixture
def folder(bundle, tmp_path):
    copy = tmp_path / "cat"
    shutil.copytree(bundle, copy)
    for path in copy.glob("*.json"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return copy


def test_it_opens_with_the_same_weights_and_without_a_warning(folder, bundle, caplog):
    ours, theirs = (mypt.load(one).state_dict() for one in (folder, bundle))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert caplog.records == []


@pytest.mark.parametrize("more", [[], ["--checksums"]])
def test_it_is_valid_with_a_note_for_each_document(folder, cli, more):
    code, out, err = cli("format", "validate", "--json", *more, folder)
    assert (code, err) == (0, "")
    problems = json.loads(out)[0]["problems"]
    assert {(p["severity"], p["kind"]) for p in problems} == {("note", "manifest.line_ends")}
    assert len(problems) == 3  # the manifest itself has no record


def test_training_goes_on_exactly(folder, bundle, in_tmp, text, cli):
    (in_tmp / "input.txt").write_text(text)
    states = {}
    for source in (folder, bundle):
        name = f"cat{len(states)}"
        shutil.copytree(source, in_tmp / "checkpoints" / name)
        more = ["--input_file", "input.txt", "--max_iters", "62", "--device", "cpu"]
        code, _, err = cli("train", "--model_name", name, *more)
        assert code == 0, err
        state = json.loads((in_tmp / "checkpoints" / name / "training_state.json").read_text())
        states[name] = state["inexact_reasons"]
    assert states["cat0"] == states["cat1"]


def test_another_change_is_found_behind_them(folder, cli):
    config = folder / "config.json"
    config.write_bytes(config.read_bytes().replace(b'"dropout": 0.', b'"dropout": 0.7'))
    code, out, _ = cli("format", "validate", "--checksums", folder)
    assert code == 1
    assert "was edited" in out
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"generation": ', b'"generation": 1'))
    code, out, _ = cli("format", "validate", folder)
    assert code == 1
    assert "does not match this file" in out
