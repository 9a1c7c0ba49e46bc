import json

import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError
from mypt.format.shards.places import find_generations
from mypt.format.shards.record import open_shards, rank_of, read_record, read_state
from tests.support.bundles import save_random_bundle
from tests.support.sharded_folders import shard_bundle

CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)


@pytest.fixture
def shards(tmp_path):
    save_random_bundle(tmp_path / "dante", CONFIG)
    return shard_bundle(tmp_path / "dante")


def refusal(call):
    with pytest.raises(FormatError) as caught:
        call()
    return str(caught.value)


def test_the_names_of_parts_tell_the_rank():
    assert [rank_of(name) for name in ("__12_0.distcp", ".metadata", "__x_0.distcp")] == [
        *(12, None, None)
    ]


def test_whole_shards_are_what_was_saved(shards):
    open_shards(shards).check(whole=True)
    assert read_state(shards)["step"] == 3
    assert [number for number, _ in find_generations(shards)] == [1]


def test_without_a_record_there_is_nothing(tmp_path):
    assert read_record(tmp_path) is None
    assert "shards.json: is missing" in refusal(lambda: open_shards(tmp_path))


@pytest.mark.parametrize("name", ["__0_0.distcp", "config.json", ".metadata", "structure.pt"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_file_that_is_not_what_was_saved_is_named(shards, name, how):
    path = open_shards(shards).generation / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data if how == "flipped" else data[:-1])
    if how == "missing":
        path.unlink()
    said = refusal(lambda: open_shards(shards).check(whole=True))
    assert said.startswith(f"{path}: ")
    assert said.endswith("move this folder away")


def test_an_edited_record_is_refused(shards):
    path = shards / "shards.json"
    document = json.loads(path.read_text())
    document["generation"] = 2
    path.write_text(json.dumps(document))
    assert "/checksum: does not match this file" in refusal(lambda: read_record(shards))


def test_a_save_meanwhile_is_told_from_damage(tmp_path, shards):
    before = open_shards(shards)
    shard_bundle(tmp_path / "dante")
    said = refusal(lambda: before.check(whole=False))
    assert said == f"{shards}: was saved anew since it was opened; open it again"
