import pytest
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError, SaveError
from mypt.format.shards.commit import ShardsWriter, remove_shards
from mypt.format.shards.places import RECORD, find_generations
from mypt.format.shards.record import open_shards, read_record
from mypt.format.storage.generations import MAX_GENERATION, seal
from mypt.format.storage.leftovers import find_leftovers
from tests.support.bundles import save_random_bundle
from tests.support.crash.scene import tree
from tests.support.sharded_folders import shard_bundle

CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)


@pytest.fixture
def model(tmp_path):
    save_random_bundle(tmp_path / "dante", CONFIG)
    return tmp_path / "dante"


def test_a_new_save_takes_the_place_of_the_one_before(model):
    shards = shard_bundle(model)
    shard_bundle(model)
    assert [path.name for _, path in find_generations(shards)] == ["generation-000002"]
    assert {path.name for path in open_shards(shards).generation.iterdir()} == {
        *("config.json", "tokenizer.json", "training_state.json"),
        *("structure.pt", ".metadata", "__0_0.distcp"),
    }


def test_what_an_interrupted_save_left_does_not_count_and_goes_with_the_next(model):
    shards = shard_bundle(model)
    before = read_record(shards)
    ShardsWriter(shards).begin({"config.json": b"{}"})
    assert read_record(shards) == before
    open_shards(shards).check(whole=True)
    shard_bundle(model)
    assert len([*find_generations(shards)]) == 1


def test_files_of_others_stay(model):
    shards = shard_bundle(model)
    (open_shards(shards).generation / "notes.txt").write_text("mine")
    (shards / "more.txt").write_text("mine")
    shard_bundle(model)
    remove_shards(shards)
    left = sorted(p.relative_to(shards).as_posix() for p in shards.rglob("*") if p.is_file())
    assert left == ["generation-000001/notes.txt", "more.txt"]


def test_the_number_of_a_folder_that_is_in_the_way_is_not_taken(model):
    shards = shard_bundle(model)
    (shards / "generation-000002").mkdir()
    (shards / "generation-000002" / "notes.txt").write_text("mine")
    (shards / "generation-000003").write_text("mine")
    (shards / "generation-9999999999999999").write_text("mine")
    shard_bundle(model)
    assert read_record(shards).generation == 4
    open_shards(shards).check(whole=True)


def test_after_the_highest_number_nothing_is_saved(model):
    shards = shard_bundle(model)
    highest = seal(evolve(read_record(shards), generation=MAX_GENERATION))[1]
    (shards / RECORD).write_bytes(highest)
    with pytest.raises(FormatError, match=r"shards\.json#/generation: is .*, the highest possible"):
        ShardsWriter(shards).begin({})
    assert (shards / RECORD).read_bytes() == highest


def test_what_a_link_in_the_place_of_a_generation_leads_to_stays(model, tmp_path):
    shards = shard_bundle(model)
    save_random_bundle(tmp_path / "other", CONFIG)
    before = tree(tmp_path / "other")
    (shards / "generation-000009").symlink_to(tmp_path / "other")
    shard_bundle(model)
    assert not (shards / "generation-000009").is_symlink()
    (shards / "generation-000009").symlink_to(tmp_path / "other")
    remove_shards(shards)
    assert [*shards.iterdir()] == []
    assert tree(tmp_path / "other") == before


def test_what_a_killed_removal_left_goes_with_the_next_save(model):
    shards = shard_bundle(model)
    shards.rename(shards.with_name(".dante_shards.mypt-removed"))
    assert [note.file for note in find_leftovers(shards)] == [
        str(shards.with_name(".dante_shards.mypt-removed"))
    ]
    remove_shards(shards)
    assert [path.name for path in model.parent.iterdir()] == ["dante"]


def test_what_a_killed_commit_left_of_a_record_goes_too(model):
    shards = shard_bundle(model)
    (shards / f"{RECORD}.partial").write_bytes(b"{")
    remove_shards(shards)
    assert [path.name for path in model.parent.iterdir()] == ["dante"]


def test_removed_shards_leave_nothing(model):
    shards = shard_bundle(model)
    remove_shards(shards)
    remove_shards(shards)
    assert [path.name for path in model.parent.iterdir()] == ["dante"]


def test_where_nothing_can_be_written_the_save_before_stays(model):
    shards = shard_bundle(model)
    before = read_record(shards)
    with pytest.raises(SaveError, match="could not be written"):
        ShardsWriter(shards).begin({"no/such/folder": b""})
    assert read_record(shards) == before
