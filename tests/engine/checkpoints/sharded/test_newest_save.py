import json

import pytest

from mypt.engine.checkpoints.sharded.newest_save import (
    check_sharded_saves,
    ensure_place_for_shards,
    ensure_shards_replaceable,
    find_newest,
)
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig, TrainingState
from mypt.format.errors import ConfigError, FormatError, SaveError, UsageError
from mypt.format.shards.record import open_shards
from tests.support.bundles import save_random_bundle
from tests.support.sharded_folders import shard_bundle

CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)


@pytest.fixture
def folder(tmp_path):
    save_random_bundle(tmp_path / "dante", CONFIG, step=3)
    return tmp_path / "dante"


@pytest.mark.parametrize(("step", "newest"), [(2, "dante_shards"), (3, "dante"), (4, "dante")])
def test_what_is_further_on_counts_and_the_bundle_at_the_same_step(folder, step, newest):
    shards = shard_bundle(folder)
    save_random_bundle(folder, CONFIG, step=step)
    found = find_newest(folder)
    assert found.path == folder.with_name(newest)
    assert found.notices == (
        f"{folder} is at step {step} and {shards} is at step 3: going on from {found.path}",
    )


def test_either_alone_counts_without_a_word(folder):
    assert (find_newest(folder).path, find_newest(folder).notices) == (folder, ())
    shards = shard_bundle(folder)
    folder.rename(folder.with_name("moved"))
    assert (find_newest(folder).path, find_newest(folder).notices) == (shards, ())


def test_shards_of_another_run_are_refused(folder):
    shards = shard_bundle(folder)
    path = folder / "training_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_id": "0" * 32}))
    (folder / "manifest.json").unlink()
    with pytest.raises(FormatError) as caught:
        find_newest(folder)
    assert str(caught.value) == (
        f"{shards}: is of another run than {folder}; move one of the two away"
    )


def test_beside_a_model_of_which_no_state_is_left_it_is_not_known_whose_the_shards_are(folder):
    shards = shard_bundle(folder)
    record = open_shards(shards)
    path = record.generation / "training_state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_id": "0" * 32}))
    for name in ("training_state.json", "manifest.json"):
        (folder / name).unlink()
    with pytest.raises(
        FormatError, match=r"may be of another run than what is left of .*dante; mo"
    ):
        find_newest(folder)


def test_the_folder_of_shards_is_the_name_of_no_model(folder):
    shards = shard_bundle(folder)
    with pytest.raises(UsageError, match="is where the run of dante saves in parts, and no model"):
        find_newest(shards)
    ensure_place_for_shards(folder)


def test_parts_do_not_go_into_the_folder_of_another_model(folder):
    ensure_place_for_shards(folder)
    save_random_bundle(folder.with_name("dante_shards"), CONFIG)
    assert find_newest(folder.with_name("dante_shards")).path.name == "dante_shards"
    with pytest.raises(SaveError, match="dante_shards: is a model of its own, and the parts of da"):
        ensure_place_for_shards(folder)


def test_damaged_shards_are_refused_also_beside_a_bundle(folder):
    shards = shard_bundle(folder)
    (open_shards(shards).generation / "training_state.json").unlink()
    with pytest.raises(FormatError, match="is missing; go on from the model or one of its copies"):
        find_newest(folder)


def test_parts_of_a_model_that_is_not_split_are_refused():
    check_sharded_saves(TrainingConfig(sharded_saves=True, shard=True))
    with pytest.raises(ConfigError, match="sharded_saves: saves the parts of a model that --shard"):
        check_sharded_saves(TrainingConfig(sharded_saves=True))


@pytest.mark.parametrize(
    ("run_id", "step", "said"),
    [
        (None, 2, "is the sharded save of this run at step 3, and a save of "),
        ("0" * 32, 3, "is the sharded save of another run, and a save of "),
    ],
)
def test_shards_that_are_further_on_or_of_another_run_are_not_replaced(folder, run_id, step, said):
    ensure_shards_replaceable(folder, TrainingState(step=0))
    shard_bundle(folder)
    ensure_shards_replaceable(folder, TrainingState(step=3))
    with pytest.raises(SaveError, match=said):
        ensure_shards_replaceable(folder, TrainingState(step=step, run_id=run_id))
