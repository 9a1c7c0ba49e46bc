"""A data set that is named for a model is told as what it is, at every door."""

import pytest

import mypt
from mypt.format.readers.unread.dataset_folder import explain_dataset

SAID = (
    "data/mine: is a data set, not a model; name a model, or look into the data set with: "
    "mypt data inspect data/mine"
)


@pytest.fixture
def dataset(cli, in_tmp):
    (in_tmp / "input.txt").write_text("the cat sat on the mat\n" * 9)
    words = ("--tokenization", "char", "--val_fraction", "0.5", "--workers", "1")
    assert cli("data", "prepare", "input.txt", "--output", "data/mine", *words)[0] == 0
    return in_tmp / "data" / "mine"


def test_every_door_says_that_a_data_set_is_one(dataset, cli, refused):
    for command in ("inspect", "doctor", "generate", "merge", "format migrate", "rerun"):
        words = ("--output", "out") if command in ("merge", "format migrate") else ()
        assert refused(*command.split(), "data/mine", *words) == f"error: {SAID}\n"
    assert refused("export", "data/mine", "--to", "hf", "--output", "out") == f"error: {SAID}\n"
    assert cli("format", "validate", "data/mine")[1].splitlines()[0] == f"error: {SAID}"
    with pytest.raises(mypt.FormatError) as caught:
        mypt.load("data/mine")
    assert str(caught.value) == SAID


def test_a_data_set_that_is_not_whole_is_told_by_its_tokenizer_and_a_model_is_none(
    dataset, bundle, tmp_path
):
    (dataset / "dataset_metadata.json").unlink()
    assert explain_dataset(dataset) is not None
    assert explain_dataset(bundle) is None
    assert explain_dataset(tmp_path / "nowhere") is None


def test_a_model_that_lies_with_its_data_is_a_model(dataset, bundle, cli):
    for file in bundle.iterdir():
        (dataset / file.name).write_bytes(file.read_bytes())
    assert cli("inspect", "data/mine")[0] == 0
    assert cli("doctor", "data/mine")[0] == 0
    (dataset / "model.pt").write_bytes(b"")
    assert "data set" not in cli("doctor", "data/mine")[1]


def test_of_a_tree_a_data_set_is_no_checkpoint_to_migrate(dataset, cli):
    assert cli("format", "migrate", "data", "--all")[1] == "0 checkpoints, 0 failed\n"
