"""A model goes on from its own training, and `fit` replaces nothing of another history."""

import json
import logging

import pytest
import torch

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.storage.generations import read_manifest

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2}
# Warming up to the end, the learning rate does not depend on `max_iters`.
RUN = {
    "eval_interval": 4,
    "eval_iters": 1,
    "learning_rate": 0.01,
    "warmup_iters": 50,
    "quiet": True,
}


@pytest.fixture
def new(plugins, text):
    tokenizer = plugins.tokenizer("char").train(text)
    config = mypt.GPTConfig(**SHAPE, dropout=0.2, vocab_size=tokenizer.vocab_size)
    return lambda seed=1: mypt.GPT(config, tokenizer, seed=seed, plugins=plugins)


@pytest.fixture
def loader(new, text):
    model = new()
    return mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")


@pytest.fixture
def unbroken(new, loader, in_tmp):
    """Weights and moments of 12 updates in one go."""
    new().fit(loader, max_iters=12, checkpoint_dir=in_tmp / "unbroken", **RUN)
    return digests(in_tmp / "unbroken")


def digests(folder):
    records = read_manifest(folder).files
    return {name: records[name].sha256 for name in ("model.pt", "optimizer.pt")}


def steps_of(log):
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return [event["iter"] for event in events if event["event"] == "eval"]


def test_a_second_fit_counts_from_the_first(new, loader, in_tmp, unbroken):
    model = new()
    model.fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", **RUN)
    state = model.fit(loader, max_iters=12, checkpoint_dir=in_tmp / "m", **RUN)
    assert state.step == 12
    assert state.inexact_reasons == ()  # the rates so far would have been the same
    assert state.tokens_processed == 12 * 16
    assert digests(in_tmp / "m") == unbroken
    assert steps_of(in_tmp / "logs" / "train" / "m_eval.jsonl") == [0, 4, 6, 8, 12]


@pytest.mark.parametrize("saved_first", [False, True])
def test_it_takes_the_moments_along_also_from_memory(new, loader, in_tmp, unbroken, saved_first):
    model = new()
    model.fit(loader, max_iters=6, **RUN)
    if saved_first:
        model.save_checkpoint_bundle(in_tmp / "m", step=6)
        assert read_bundle(in_tmp / "m").training_state.data is not None
        model = mypt.GPT.load(in_tmp / "m")
    model.fit(loader, max_iters=12, checkpoint_dir=in_tmp / "m", **RUN)
    assert digests(in_tmp / "m") == unbroken


def test_the_optimizer_may_be_given_each_time(new, loader, in_tmp, unbroken):
    model = new()
    from mypt.engine.optimizers.build import make_optimizer

    optimizer = make_optimizer(model, mypt.TrainingConfig(learning_rate=0.01))
    for max_iters in (6, 12):
        model.fit(loader, optimizer, max_iters=max_iters, checkpoint_dir=in_tmp / "m", **RUN)
    assert digests(in_tmp / "m") == unbroken


def test_a_fresh_optimizer_is_no_exact_continuation(new, loader, in_tmp):
    from mypt.engine.optimizers.build import make_optimizer

    model = new()
    model.fit(loader, max_iters=4, **RUN)
    fresh = make_optimizer(model, mypt.TrainingConfig(learning_rate=0.01))
    state = model.fit(loader, fresh, max_iters=8, **RUN)
    assert "step 4: there was no optimizer state, so a fresh one begins" in state.inexact_reasons


class StopError(Exception):
    """Ends a run from outside."""


def test_a_run_that_failed_goes_on_at_its_last_update(new, loader, in_tmp, unbroken, monkeypatch):
    model, loss, calls = new(), mypt.GPT.loss, []

    def fail_after_backward(self, *batch, **given):
        calls.append(1)
        computed = loss(self, *batch, **given)
        if len(calls) == 12:
            computed.backward()  # leaves gradients behind
            raise StopError
        return computed

    with monkeypatch.context() as patch:
        patch.setattr(mypt.GPT, "loss", fail_after_backward)
        with pytest.raises(StopError):
            model.fit(loader, max_iters=12, checkpoint_dir=in_tmp / "m", **RUN)
    step = model.history.step
    assert 4 < step < 12
    assert read_bundle(in_tmp / "m").training_state.step < step
    state = model.fit(loader, checkpoint_dir=in_tmp / "m", **RUN)
    assert (state.step, state.exact) == (12, True)
    assert digests(in_tmp / "m") == unbroken


def test_gradients_of_another_loop_are_not_of_the_first_update(new, loader, in_tmp, unbroken):
    model = new()
    batch = loader.train_batch(1, 0, 0)
    model.loss(batch.x, batch.y).backward()
    model.fit(loader, max_iters=12, checkpoint_dir=in_tmp / "m", **RUN)
    assert digests(in_tmp / "m") == unbroken


def test_a_step_that_the_model_is_beyond_is_refused(new, loader):
    model = new()
    model.fit(loader, max_iters=8, **RUN)
    with pytest.raises(mypt.ConfigError, match=r"start_step: is 5, but this model .* 8 updates"):
        model.fit(loader, max_iters=12, start_step=5, **RUN)
    with pytest.raises(mypt.ConfigError, match="max_iters: is 6, but this model is at step 8"):
        model.fit(loader, max_iters=6, **RUN)
    assert model.fit(loader, max_iters=9, start_step=8, **RUN).step == 9


def test_a_step_that_the_model_was_not_known_to_be_at_is_recorded(new, loader):
    model = new()
    model.fit(loader, max_iters=4, **RUN)
    state = model.fit(loader, max_iters=12, start_step=10, **RUN)
    reason = "step 10: start_step is 10, but the model was known to be at step 4"
    assert reason in state.inexact_reasons


def test_what_is_done_is_not_trained_again_and_says_so(new, loader, in_tmp, caplog):
    model = new()
    model.fit(loader, max_iters=4, checkpoint_dir=in_tmp / "m", **RUN)
    before = digests(in_tmp / "m")
    with caplog.at_level(logging.WARNING, "mypt"):
        assert model.fit(loader, max_iters=4, checkpoint_dir=in_tmp / "m", **RUN).step == 4
    assert caplog.messages == ["nothing to train: the model is at step 4, and max_iters is 4"]
    assert digests(in_tmp / "m") == before


def test_what_is_done_is_saved_where_it_is_not_yet(new, loader, in_tmp):
    model = new()
    model.fit(loader, max_iters=4, **RUN)
    model.fit(loader, max_iters=4, checkpoint_dir=in_tmp / "m", **RUN)
    assert read_bundle(in_tmp / "m").training_state.step == 4
    assert read_bundle(in_tmp / "m_gold").training_state.step == 4


def test_a_run_of_its_own_records_what_its_weights_came_from(new, loader, in_tmp):
    model = new()
    base = model.fit(loader, max_iters=4, checkpoint_dir=in_tmp / "base", **RUN)
    state = model.fit(loader, max_iters=2, start_step=0, checkpoint_dir=in_tmp / "own", **RUN)
    assert (state.step, state.exact) == (2, True)
    assert state.run_id != base.run_id
    (ancestor,) = state.lineage
    assert (ancestor.model, ancestor.step) == ("base", 4)
    assert ancestor.sha256 == digests(in_tmp / "base")["model.pt"]


@pytest.mark.parametrize("seed", [1, 2])
def test_another_models_run_is_not_replaced(new, loader, in_tmp, seed):
    new().fit(loader, max_iters=8, checkpoint_dir=in_tmp / "m", **RUN)
    before = {name: digests(in_tmp / name) for name in ("m", "m_gold")}
    said = r"m: holds a model at step 8 of the run \w{8}, which this one would replace; .*overwrite"
    with pytest.raises(mypt.SaveError, match=said):
        new(seed).fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", **RUN)
    assert {name: digests(in_tmp / name) for name in ("m", "m_gold")} == before
    new(seed).fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", overwrite=True, **RUN)
    assert read_bundle(in_tmp / "m").training_state.step == 2


def test_gold_of_another_run_is_not_replaced(new, loader, in_tmp):
    new().fit(loader, max_iters=8, checkpoint_dir=in_tmp / "m", **RUN)
    (in_tmp / "m").rename(in_tmp / "elsewhere")
    before = digests(in_tmp / "m_gold")
    with pytest.raises(mypt.UsageError, match="m_gold: is the gold copy of another run of m"):
        new(2).fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", **RUN)
    assert digests(in_tmp / "m_gold") == before
    assert not (in_tmp / "m").exists()
    new(2).fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", overwrite=True, **RUN)
    assert digests(in_tmp / "m_gold") != before


def test_a_longer_run_is_not_replaced_by_an_earlier_step_of_it(new, loader, in_tmp):
    model = new()
    model.fit(loader, max_iters=4, checkpoint_dir=in_tmp / "m", **RUN)
    early = mypt.load(in_tmp / "m")
    model.fit(loader, max_iters=8, checkpoint_dir=in_tmp / "m", **RUN)
    with pytest.raises(
        mypt.SaveError, match="m: is at step 8 already, and this model is at step 4"
    ):
        early.fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", **RUN)
    for later in (mypt.load(in_tmp / "m"), model):
        with pytest.raises(mypt.SaveError, match="holds a model at step 8"):
            later.fit(loader, max_iters=2, start_step=0, checkpoint_dir=in_tmp / "m", **RUN)


def raise_stop(*args, **options):
    raise StopError


def test_a_run_killed_before_its_first_update_may_begin_anew(new, loader, in_tmp, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(mypt.GPTDataLoader, "train_batch", raise_stop)
        with pytest.raises(StopError):
            new().fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", **RUN)
    assert read_bundle(in_tmp / "m").training_state.step == 0
    assert new(2).fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", **RUN).step == 2


def test_weights_that_the_model_did_not_come_from_are_not_replaced(new, loader, in_tmp):
    trained = new()
    trained.fit(loader, max_iters=4, **RUN)
    trained.save(in_tmp / "m")
    with pytest.raises(mypt.SaveError, match="m: holds weights of which this model does not know"):
        new().fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", **RUN)
    state = mypt.load(in_tmp / "m").fit(loader, max_iters=2, checkpoint_dir=in_tmp / "m", **RUN)
    assert [(a.model, a.step) for a in state.lineage] == [("m", 0)]


def test_a_copy_may_be_trained_where_it_is(new, loader, in_tmp, capsys):
    often = {**RUN, "snapshot_interval": 2}
    run_id = new().fit(loader, max_iters=4, checkpoint_dir=in_tmp / "m", **often).run_id
    copy, place = mypt.load(in_tmp / "m_step00000002"), in_tmp / "m_step00000002"
    with pytest.raises(mypt.SaveError, match="m: holds a model at step 4"):
        copy.fit(loader, max_iters=8, checkpoint_dir=in_tmp / "m", **RUN)
    gold = mypt.load(in_tmp / "m_gold")
    gold.fit(loader, max_iters=8, checkpoint_dir=in_tmp / "m_gold", **{**RUN, "quiet": False})
    assert "m_gold is the gold copy of m, and becomes a separate model" in capsys.readouterr().out
    state = copy.fit(loader, max_iters=8, checkpoint_dir=place, **RUN)
    assert (state.step, state.copy_of) == (8, None)
    assert state.run_id != run_id


def test_a_fit_leaves_the_model_with_the_state_it_returns(new, loader):
    model = new()
    state = model.fit(loader, max_iters=4, **RUN)
    assert model.history.step == state.step == 4
    moments = model.history.optimizer["state"]
    assert all(torch.equal(m["step"], torch.tensor(4.0)) for m in moments.values())
    assert model.quantize().history.optimizer is None


def test_a_fit_that_saves_nothing_says_so_and_announces_no_copy(new, loader, in_tmp, capsys):
    before = set(in_tmp.rglob("*"))
    model = new()
    state = model.fit(loader, **{**RUN, "quiet": False}, max_iters=4)
    out = capsys.readouterr().out
    gold = state.gold
    assert "GOLD" not in out
    assert (
        "Nothing is saved, without checkpoint_dir; the model in memory is that of step 4; "
        f"the best was val_loss={gold.best_val_loss:.4f} at step {gold.best_step}\n"
    ) in out
    assert set(in_tmp.rglob("*")) == before
    model.fit(loader, checkpoint_dir=in_tmp / "m", **{**RUN, "quiet": False}, max_iters=8)
    assert "Nothing is saved" not in capsys.readouterr().out
