"""A run that cannot be done again, and why."""

import pytest

from tests.cli.commands.test_rerun import BRIEF, SHAPE, edit_state, state_file


@pytest.fixture
def cat(cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text)
    code, _, err = cli("train", "--model_name", "cat", "--input_file", "input.txt", *SHAPE, *BRIEF)
    assert code == 0, err


def test_a_run_that_cannot_be_done_again_is_refused_before_anything_is_written(
    cat, refused, in_tmp
):
    whole = state_file("cat").read_bytes()

    def without_record(state):
        del state["provenance"]

    def from_python(state):
        state["provenance"]["command"] = None

    def from_stdin(state):
        state["training_config"]["input_file"] = "-"

    def without_data(state):
        state["training_config"]["input_file"] = None

    for change, place in (
        (without_record, "checkpoints/cat/training_state.json#/provenance: does not say how"),
        (from_python, "checkpoints/cat/training_state.json#/provenance/command: is null: "),
    ):
        edit_state(change)
        assert place in refused("rerun", "cat")
        state_file("cat").write_bytes(whole)
    for change, place in (
        (from_stdin, "#/training_config/input_file: names the standard input, which is gone"),
        (without_data, "#/training_config: does not name the data that it was trained on"),
    ):
        edit_state(change)
        assert place in refused("rerun", "cat", code=2)
        state_file("cat").write_bytes(whole)
    assert "is not empty" in refused("rerun", "cat", "--model_name", "cat", code=2)
    (in_tmp / "input.txt").unlink()
    assert "input.txt" in refused("rerun", "cat")
    state_file("cat").unlink()
    state_file("cat").with_name("manifest.json").unlink()
    assert "has no training_state.json, so nobody knows" in refused("rerun", "cat")
    left = {path.name for path in (in_tmp / "checkpoints").iterdir()}
    assert left == {"cat", "cat_gold", "cat_fp16"}


def test_a_run_whose_plugin_is_missing_is_refused(cat, refused):
    def change(state):
        state["training_config"]["gold_guards"] = {"acme": {}}

    edit_state(change)
    assert "acme" in refused("rerun", "cat")
