"""A save of one's own keeps what the model knows of its training, and replaces nothing else's."""

import json
import shutil

import pytest
import torch
from attrs import evolve

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.storage.generations import read_manifest
from mypt.plugins.manager import load_plugins

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 2}
RUN = {"max_iters": 4, "eval_interval": 4, "eval_iters": 1, "learning_rate": 0.01, "quiet": True}


@pytest.fixture
def new(text):
    plugins = load_plugins()
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size)
    return lambda seed=1: mypt.GPT(config, tokenizer, seed=seed, plugins=plugins)


@pytest.fixture
def trained(new, text, in_tmp):
    """A model of four updates, and its folder."""
    model = new()
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")
    model.fit(loader, checkpoint_dir=in_tmp / "m", **RUN)
    return model


def state_of(folder):
    return read_bundle(folder).training_state


def change(model):
    """Train a little in a loop of one's own."""
    with torch.no_grad():
        model.lm_head.weight.mul_(0.9)


def test_a_training_state_is_not_replaced_by_none(trained, in_tmp):
    before = read_manifest(in_tmp / "m")
    for model in (trained, mypt.load(in_tmp / "m")):
        with pytest.raises(mypt.SaveError) as refused:
            model.save(in_tmp / "m")
        assert str(refused.value) == (
            f"{in_tmp}/m: would lose training_state.json and optimizer.pt of step 4; name another "
            "folder, save with step=4, or pass overwrite=True"
        )
    assert read_manifest(in_tmp / "m") == before
    trained.save(in_tmp / "m", overwrite=True)
    assert set(read_manifest(in_tmp / "m").files) == {"config.json", "model.pt", "tokenizer.json"}


@pytest.mark.parametrize("loaded", [False, True])
def test_a_save_at_the_models_own_step_keeps_all_of_its_training(trained, in_tmp, loaded):
    model = mypt.load(in_tmp / "m") if loaded else trained
    before, state = read_manifest(in_tmp / "m"), state_of(in_tmp / "m")
    model.save_checkpoint_bundle(in_tmp / "m", step=4)
    after = read_manifest(in_tmp / "m")
    assert after.files["optimizer.pt"] == before.files["optimizer.pt"]
    assert evolve(state_of(in_tmp / "m"), elapsed_s=0) == evolve(state, elapsed_s=0)
    model.save_checkpoint_bundle(in_tmp / "other", step=4)
    assert state_of(in_tmp / "other").gold is None  # it has none beside it
    assert state_of(in_tmp / "other").data == state.data


def test_moments_are_not_dropped_in_silence(trained, in_tmp):
    with pytest.raises(mypt.SaveError, match=r"m/optimizer\.pt: would be deleted; pass optimizer_"):
        trained.save_checkpoint_bundle(in_tmp / "m", step=9)
    moments = read_bundle(in_tmp / "m").optimizer()
    trained.save_checkpoint_bundle(in_tmp / "m", step=9, optimizer_state=moments)
    assert state_of(in_tmp / "m").step == 9
    assert state_of(in_tmp / "m").data is None  # a loop of one's own does not say


def test_a_loop_of_ones_own_saves_again_and_again(new, in_tmp):
    model = new()
    for step in (2, 4, 6):
        change(model)
        model.save_checkpoint_bundle(in_tmp / "m", step=step)
        for name in ("a", "b"):
            model.save(in_tmp / name)
            change(model)
        model.save(in_tmp / "a")
    assert state_of(in_tmp / "m").step == 6


def test_an_earlier_step_of_the_run_replaces_no_later_one(new, in_tmp):
    model = new()
    model.save_checkpoint_bundle(in_tmp / "m", step=2)
    early = mypt.load(in_tmp / "m")
    model.save_checkpoint_bundle(in_tmp / "m", step=6)
    with pytest.raises(
        mypt.SaveError, match="m: is at step 6 already, and this model is at step 4"
    ):
        early.save_checkpoint_bundle(in_tmp / "m", step=4)
    early.save_checkpoint_bundle(in_tmp / "m", step=4, overwrite=True)
    assert state_of(in_tmp / "m").step == 4


def test_fewer_updates_are_those_of_a_run_of_its_own(trained, in_tmp):
    trained.save_checkpoint_bundle(in_tmp / "tuned", step=2)
    state = state_of(in_tmp / "tuned")
    assert [(a.model, a.step) for a in state.lineage] == [("m", 4)]
    assert state.run_id != state_of(in_tmp / "m").run_id


@pytest.mark.parametrize("step", [None, 9])
def test_another_models_weights_are_not_replaced(new, trained, in_tmp, step):
    trained.save(in_tmp / "plain")
    before = read_manifest(in_tmp / "plain"), read_manifest(in_tmp / "m")
    for name, there in {"m": "a model at step 4 of the run", "plain": "weights of which"}.items():
        with pytest.raises(mypt.SaveError, match=f"{name}: holds {there}.* would replace; name"):
            new(2).save_checkpoint_bundle(in_tmp / name, step=step)
    assert (read_manifest(in_tmp / "plain"), read_manifest(in_tmp / "m")) == before
    new(2).save_checkpoint_bundle(in_tmp / "plain", step=step, overwrite=True)


def test_a_bundle_that_names_no_run_belongs_to_what_was_read_from_it(new, trained, in_tmp):
    for name in ("manifest.json", "optimizer.pt"):
        (in_tmp / "m" / name).unlink()
    document = json.loads((in_tmp / "m" / "training_state.json").read_text())
    del document["run_id"], document["optimizer_file"]
    (in_tmp / "m" / "training_state.json").write_text(json.dumps(document))
    with pytest.raises(mypt.SaveError, match="m: holds a model at step 4, which this one would"):
        new(2).save_checkpoint_bundle(in_tmp / "m", step=4)
    mypt.load(in_tmp / "m").save_checkpoint_bundle(in_tmp / "m", step=5)
    assert state_of(in_tmp / "m").run_id is not None


def test_the_folder_of_another_program_is_not_written_into(trained, in_tmp):
    (in_tmp / "hf").mkdir()
    (in_tmp / "hf" / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(mypt.SaveError, match="hf: is another program's folder, whose config"):
        trained.save(in_tmp / "hf")


def test_a_copy_that_is_saved_elsewhere_is_a_run_of_its_own(trained, in_tmp):
    gold = mypt.load(in_tmp / "m_gold")
    gold.save_checkpoint_bundle(in_tmp / "mine", step=gold.history.step)
    state = state_of(in_tmp / "mine")
    assert state.copy_of is None
    assert state.run_id != state_of(in_tmp / "m").run_id


def test_a_config_alone_took_no_training(trained, in_tmp):
    trained.save(in_tmp / "empty")
    for name in ("manifest.json", "model.pt"):
        (in_tmp / "empty" / name).unlink()
    trained.save(in_tmp / "empty")
    assert mypt.load(in_tmp / "empty").generate("the", 1)


def test_a_file_of_the_first_releases_belongs_to_what_was_read_from_it(trained, in_tmp, fixtures):
    old = in_tmp / "old"
    old.mkdir()
    shutil.copyfile(fixtures / "mypt" / "legacy_latest_char" / "latest.pt", old / "latest.pt")
    with pytest.raises(mypt.SaveError, match="old: holds weights of which this model does not"):
        trained.save(old)
    model, _, step, moments = mypt.GPT.load_legacy(old / "latest.pt")
    model.save_checkpoint_bundle(old, step, moments)
    assert state_of(old).step == step


@pytest.mark.parametrize("step", [None, 4])
def test_a_model_is_not_replaced_by_weights_that_are_not_finite(trained, in_tmp, step):
    folder = in_tmp / "plain"
    trained.save_checkpoint_bundle(folder, step)
    before = (folder / "manifest.json").read_bytes()
    with torch.no_grad():
        trained.lm_head.weight[0, 0] = torch.nan
    with pytest.raises(mypt.SaveError, match="weights that are NaN or infinite would replace"):
        trained.save_checkpoint_bundle(folder, step)
    assert (folder / "manifest.json").read_bytes() == before
    trained.save_checkpoint_bundle(in_tmp / "elsewhere", step)
    trained.save_checkpoint_bundle(folder, step, overwrite=True)
    assert (folder / "manifest.json").read_bytes() != before
