"""Opening a checkpoint; golden files hold what each reader makes of each form."""

import pytest
import torch
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError, UsageError
from mypt.format.open import (
    explain_refusal,
    is_checkpoint,
    is_model,
    is_part_of_bundle,
    open_checkpoint,
    recognise,
    share_among,
)
from mypt.format.shards.record import open_shards
from tests.support.bundles import random_weights, save_random_bundle
from tests.support.sharded_folders import shard_bundle, sign_again

CONFIG = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)
TIED = evolve(CONFIG, tie_weights=True)


@pytest.fixture
def folder(tmp_path):
    save_random_bundle(tmp_path / "dante", CONFIG)
    return tmp_path / "dante"


def refused(path, plugins):
    error = explain_refusal(path, plugins.readers.values())
    with pytest.raises(FormatError) as caught:
        open_checkpoint(path, plugins)
    assert str(caught.value) == str(error)
    return str(error)


def test_a_bundle_is_opened_as_it_was_saved(folder, plugins):
    opened = open_checkpoint(folder, plugins)
    assert recognise(folder, plugins.readers.values()) == ("bundle", None)
    assert (opened.path, opened.format, opened.config) == (folder, "2.0", CONFIG)
    assert opened.training_state.step == 3
    assert (opened.doubts, opened.notes, opened.flaws, opened.lacking) == ((), (), (), ())
    assert opened.manifest.generation == 1
    assert opened.sizes["model.pt"] == (folder / "model.pt").stat().st_size
    weights = opened.weights()
    for name, tensor in random_weights(CONFIG).items():
        assert torch.equal(weights[name], tensor)
        assert opened.shapes()[name] == tuple(tensor.shape)
    assert opened.weights(torch.Tensor.half)[name].dtype == torch.float16
    assert opened.is_proved
    assert not open_checkpoint(folder, plugins, without_model=True).is_proved


def test_what_is_missing_is_a_reason_why_training_cannot_go_on_exactly(folder, plugins):
    (folder / "manifest.json").unlink()
    assert open_checkpoint(folder, plugins).doubts == ("there was no manifest.json",)
    (folder / "training_state.json").unlink()
    assert open_checkpoint(folder, plugins).doubts[-2:] == (
        "there was no training_state.json",
        "there was no manifest.json",
    )


def test_a_bundle_takes_no_options(folder, plugins):
    with pytest.raises(UsageError, match="alpha"):
        open_checkpoint(folder, plugins, {"alpha": "8"})


def test_an_option_that_no_checkpoint_takes_is_refused(folder, plugins, tmp_path):
    readers, nowhere = plugins.readers.values(), tmp_path / "nowhere"  # what opens it says so
    assert share_among([folder, nowhere], readers, {}) == [{}, {}]
    with pytest.raises(UsageError, match="alpha"):
        share_among([folder], readers, {"alpha": "8"})


def test_of_a_tied_bundle_whose_tensors_differ_nothing_is_given(tmp_path, plugins):
    save_random_bundle(tmp_path / "tied", TIED)
    assert open_checkpoint(tmp_path / "tied", plugins).weights()
    (tmp_path / "tied" / "manifest.json").unlink()
    torch.save(random_weights(CONFIG), tmp_path / "tied" / "model.pt")
    with pytest.raises(FormatError, match=r"lm_head\.weight"):
        open_checkpoint(tmp_path / "tied", plugins).weights()


@pytest.mark.parametrize("config", [CONFIG, TIED], ids=["untied", "tied"])
def test_a_sharded_save_is_what_was_saved_and_training_goes_on_exactly(tmp_path, plugins, config):
    save_random_bundle(tmp_path / "dante", config)
    whole = open_checkpoint(tmp_path / "dante", plugins)
    opened = open_checkpoint(shard_bundle(tmp_path / "dante"), plugins)
    assert (opened.format, opened.doubts, opened.flaws) == ("sharded_save", (), ())
    assert opened.config == config
    assert opened.training_state == whole.training_state
    expected, weights = whole.weights(), opened.weights()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    is_one = weights["lm_head.weight"] is weights["token_embedding_table.weight"]
    assert is_one == config.tie_weights
    state, mine = whole.optimizer()["state"], opened.optimizer()["state"]
    assert state.keys() == mine.keys()
    assert all(torch.equal(mine[n]["exp_avg"], held["exp_avg"]) for n, held in state.items())


def test_a_sharded_save_of_a_tied_model_whose_tensors_differ_is_refused(tmp_path, plugins):
    save_random_bundle(tmp_path / "dante", CONFIG)
    shards = shard_bundle(tmp_path / "dante")
    config = open_shards(shards).generation / "config.json"
    config.write_text(config.read_text().replace('"tie_weights": false', '"tie_weights": true'))
    sign_again(shards)
    with pytest.raises(FormatError, match=r"lm_head\.weight"):
        open_checkpoint(shards, plugins).weights()


def test_a_sharded_save_that_changed_is_found_by_its_check(folder, plugins):
    shards = shard_bundle(folder)
    opened = open_checkpoint(shards, plugins)
    opened.check()
    part = next(open_shards(shards).generation.glob("*.distcp"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(FormatError, match=r"__0_0\.distcp: is not what was saved"):
        opened.check()


def test_one_file_of_a_bundle_is_not_opened_without_the_others(folder, plugins):
    assert is_part_of_bundle(folder / "model.pt")
    assert not is_part_of_bundle(folder / "else.pt")
    said = refused(folder / "model.pt", plugins)
    assert said == f"{folder / 'model.pt'}: is one file of a checkpoint; name the folder: {folder}"


def test_a_folder_that_holds_checkpoints_names_some(folder, plugins):
    said = refused(folder.parent, plugins)
    assert said.startswith(f"{folder.parent}: is not a checkpoint but holds some, such as {folder}")
    assert said.endswith(f"list them all: mypt list {folder.parent}")
    assert not is_checkpoint(folder.parent, plugins)


def test_an_empty_folder_is_nothing(tmp_path, plugins):
    assert "is not a checkpoint that mypt can read" in refused(tmp_path, plugins)
    assert not is_model(tmp_path)
    assert not is_checkpoint(tmp_path / "nowhere", plugins)


def test_any_folder_with_a_config_may_hold_a_model(tmp_path, folder, plugins):
    (tmp_path / "config.json").write_text("half")
    assert is_model(tmp_path)
    assert is_checkpoint(tmp_path, plugins)
    (folder / "config.json").unlink()
    assert is_model(folder)
    shards = shard_bundle_of_another(tmp_path)
    assert is_checkpoint(shards, plugins)
    assert not is_model(shards)


def shard_bundle_of_another(tmp_path):
    save_random_bundle(tmp_path / "other", CONFIG)
    return shard_bundle(tmp_path / "other")
