"""Which of the folders beside a model are its copies."""

import json
import shutil

import pytest

from mypt.engine.checkpoints.copies import find_copies, find_copy
from mypt.format.bundle.copy_name import CopyKind


@pytest.fixture
def folder(in_tmp):
    """A model with a gold copy, a numbered one, and a model that is only named like a copy."""
    places = {"cat": None, "cat_gold": "cat", "cat_step00000002": "cat", "cat_fp16": None}
    for name, model in places.items():
        (in_tmp / name).mkdir()
        state = {"format_version": "2.0", "step": 2, "copy_of": model, "run_id": "ab"}
        (in_tmp / name / "training_state.json").write_text(json.dumps(state))
    return in_tmp / "cat"


def test_a_copy_is_found_by_what_it_says_and_not_by_its_name(folder):
    assert find_copy(folder, CopyKind.GOLD) == folder.with_name("cat_gold")
    assert find_copy(folder, CopyKind.FP16) is None
    assert [path.name for path in find_copies(folder)] == ["cat_gold", "cat_step00000002"]


def test_copies_that_were_renamed_with_their_model_are_found_by_its_run(folder):
    renamed = shutil.move(folder.with_name("cat_gold"), folder.with_name("dog_gold"))
    dog = folder.with_name("dog")
    assert find_copy(dog, CopyKind.GOLD) is None
    assert find_copy(dog, CopyKind.GOLD, run_id="ab") == renamed


def test_what_is_no_folder_or_cannot_be_read_is_no_copy(folder):
    (folder.with_name("cat_gold") / "training_state.json").write_text("{")
    assert find_copy(folder, CopyKind.GOLD) is None
    shutil.rmtree(folder.with_name("cat_gold"))
    assert find_copy(folder, CopyKind.GOLD) is None
    folder.with_name("cat_gold").write_text("")
    assert find_copy(folder, CopyKind.GOLD) is None
