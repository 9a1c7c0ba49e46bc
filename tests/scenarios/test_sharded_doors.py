"""What the commands make of the sharded saves of a model, with a bundle of it and without."""

import shutil
from pathlib import Path

import pytest

import mypt
from mypt.format.documents.config import GPTConfig
from mypt.format.shards.record import open_shards
from tests.support.bundles import save_random_bundle
from tests.support.sharded_folders import shard_bundle

CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)
SHARDS = "checkpoints/dante_shards"


@pytest.fixture
def model(in_tmp):
    """The folder of a model beside its shards, at the same step."""
    folder = Path("checkpoints/dante")
    save_random_bundle(folder, CONFIG)
    shard_bundle(folder)
    return folder


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_model_that_is_saved_in_parts_alone_is_told_from_one_that_is_missing(
    model, is_begun, cli, refused
):
    shutil.rmtree(model)
    if is_begun:  # as a run leaves it that was killed
        model.mkdir()
        (model / ".mypt.lock").write_text("")
    assert refused("inspect", "dante", code=2).strip() == (
        f"error: there is no checkpoint `dante` yet: its run saves in parts, to {SHARDS}; name that"
        f" folder, or make a bundle of it: mypt format migrate {SHARDS}"
    )
    code, said, _ = cli("doctor", "dante")
    assert code == 1
    assert "checkpoints/dante: not whole; it serves for nothing" in said
    assert "is not written yet: its run saves in parts; train on, or migrate these" in said
    assert f"To go on from {SHARDS}: mypt train --model_name dante" in said
    code, said, _ = cli("format", "migrate", SHARDS)
    assert (code, said.splitlines()[0]) == (0, f"{SHARDS} -> checkpoints/dante: migrated")
    assert cli("doctor", "dante")[0] == 0


def test_of_the_same_step_the_bundle_counts(model, cli):
    code, said, _ = cli("doctor", "dante")
    assert code == 0
    assert f"{SHARDS} (shards, step 3, no later than the model: not needed): whole" in said
    assert said.endswith("The model is whole.\n")
    code, said, _ = cli("list")
    assert code == 0
    assert "sharded_save" in said


def test_of_a_later_step_the_shards_count(model, cli):
    save_random_bundle(model, CONFIG, step=2)
    code, said, _ = cli("doctor", "dante")
    assert code == 0
    assert f"{SHARDS} (shards, step 3, training goes on from it" in said
    assert said.endswith(f"To go on from {SHARDS}: mypt train --model_name dante\n")


def test_the_folder_opens_like_any_checkpoint(model, cli):
    code, said, _ = cli("inspect", SHARDS)
    assert code == 0
    assert "Parts that the processes of a run wrote, a sharded_save" in said
    assert f"to make a bundle of it: mypt format migrate {SHARDS}" in said
    assert cli("format", "validate", SHARDS)[0] == 0
    code, here, _ = cli("generate", SHARDS, "--prompt", "a", "--max_new_tokens", 3, "--seed", 1)
    there = cli("generate", "dante", "--prompt", "a", "--max_new_tokens", 3, "--seed", 1)[1]
    assert (code, here) == (0, there)


def test_a_part_that_is_not_what_was_saved_is_named_by_doctor_and_validate(model, cli):
    path = open_shards(Path(SHARDS)).generation / "__0_0.distcp"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    code, said, _ = cli("format", "validate", "--checksums", SHARDS)
    assert code == 1
    assert str(path) in said
    assert "training goes on from it exactly" not in cli("doctor", SHARDS)[1]


def test_another_run_does_not_take_the_place_of_shards(model):
    shutil.rmtree(model)
    before = {path: path.read_bytes() for path in Path(SHARDS).rglob("*") if path.is_file()}
    given = mypt.GPT(CONFIG, mypt.load(SHARDS).tokenizer)
    loader = mypt.GPTDataLoader(given.config, given.tokenizer, text="abc" * 50)
    with pytest.raises(mypt.SaveError, match="is the sharded save of another run"):
        given.fit(loader, checkpoint_dir=model, max_iters=1, eval_iters=1, quiet=True)
    assert {path: path.read_bytes() for path in before} == before
