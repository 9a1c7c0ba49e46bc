import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import SaveError
from mypt.format.shards.commit import ShardsWriter, remove_shards
from mypt.format.shards.record import find_generations, open_shards, read_record
from tests.support.bundles import save_random_bundle
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
    (shards / "generation-000007").mkdir()
    (shards / "generation-000007" / "notes.txt").write_text("mine")
    shard_bundle(model)
    assert read_record(shards).generation == 8


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
