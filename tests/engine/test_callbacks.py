"""What a caller's functions hear of a run, and what they can do to it."""

import weakref

import pytest
import torch
from attrs import evolve

import mypt
from mypt.engine.callbacks import Callbacks
from mypt.engine.runtime.readback import Readback
from mypt.format.bundle.read import read_bundle
from mypt.format.storage.generations import read_manifest

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 2, "dropout": 0.2}
RUN = {"eval_interval": 4, "eval_iters": 1, "learning_rate": 0.01, "quiet": True}


@pytest.fixture
def new(plugins, text):
    tokenizer = plugins.tokenizer("char").trained_on([text])
    config = mypt.GPTConfig(**SHAPE, vocab_size=tokenizer.vocab_size)
    return lambda **changes: mypt.GPT(evolve(config, **changes), tokenizer, plugins=plugins)


@pytest.fixture
def loader(new, text):
    model = new()
    return mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="text")


def digests(folder):
    records = read_manifest(folder).files
    return {name: records[name].sha256 for name in ("model.pt", "optimizer.pt")}


def step_of(folder):
    return read_bundle(folder).training_state.step


def test_a_function_hears_of_each_update(new, loader):
    model, heard = new(), []
    model.fit(loader, max_iters=6, after_step=heard.append, **RUN)
    assert [event.step for event in heard] == [1, 2, 3, 4, 5, 6]
    assert heard[0].lr == pytest.approx(0.01)
    assert heard[-1].lr < heard[0].lr
    assert all(event.model is model for event in heard)


def test_its_loss_is_that_of_the_batch_before_the_update(new, loader):
    losses, batches = [], [loader.train_batch(1337, step, 0) for step in range(2)]
    model = new(dropout=0)
    with torch.no_grad():
        first = model.loss(batches[0].x, batches[0].y)
    model.fit(loader, max_iters=2, after_step=lambda event: losses.append(event.loss), **RUN)
    assert losses[0] == pytest.approx(float(first))
    assert losses[1] != losses[0]


def test_a_function_hears_of_each_evaluation(new, loader, text):
    model, heard = new(), []
    held_out = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, eval_only=True)
    sets = {"held_out": held_out}
    model.fit(loader, max_iters=6, after_evaluation=heard.append, eval_data_loaders=sets, **RUN)
    assert [event.step for event in heard] == [0, 4, 6]
    assert heard[0].lr == pytest.approx(0.01)
    for event in heard:
        assert event.model is model
        assert event.eval_losses.keys() == {"held_out"}
        assert event.train_loss > 0
        assert event.val_loss > 0


def test_what_a_function_reads_and_generates_changes_nothing(new, loader, in_tmp):
    new().fit(loader, max_iters=6, checkpoint_dir=in_tmp / "without", **RUN)
    texts = []

    def look(event):
        torch.rand(3)
        texts.append(event.model.eval().generate("a", max_new_tokens=3, seed=event.step))

    given = {"after_step": look, "after_evaluation": look}
    new().fit(loader, max_iters=6, checkpoint_dir=in_tmp / "with", **given, **RUN)
    assert len(texts) == 9
    assert digests(in_tmp / "with") == digests(in_tmp / "without")


@pytest.mark.parametrize("name", ["after_step", "after_evaluation"])
def test_a_function_stops_the_run_which_goes_on_exactly(new, loader, in_tmp, name):
    new().fit(loader, max_iters=6, checkpoint_dir=in_tmp / "unbroken", **RUN)

    def stop(event):
        if event.step >= 3:
            event.stop()

    model = new()
    state = model.fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", **{name: stop}, **RUN)
    at = 3 if name == "after_step" else 4
    assert state.step == step_of(in_tmp / "m") == at
    mypt.GPT.load(in_tmp / "m").fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", **RUN)
    assert digests(in_tmp / "m") == digests(in_tmp / "unbroken")


@pytest.mark.parametrize(("name", "at"), [("after_step", 3), ("after_evaluation", 4)])
def test_where_a_function_fails_the_run_is_saved_and_its_error_raised(
    new, loader, in_tmp, name, at
):
    new().fit(loader, max_iters=6, checkpoint_dir=in_tmp / "unbroken", **RUN)

    def fail(event):
        if event.step >= 3:
            return {}["of the user"]
        return None

    model = new()
    with pytest.raises(KeyError, match="of the user") as raised:
        model.fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", **{name: fail}, **RUN)
    assert raised.traceback[-1].name == "fail"
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert step_of(in_tmp / "m") == at
    assert model.history.step == at
    model.fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", **RUN)
    assert digests(in_tmp / "m") == digests(in_tmp / "unbroken")


def test_a_forced_end_within_a_function_saves_nothing_more(new, loader, in_tmp):
    def interrupt(event):
        if event.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        new().fit(loader, max_iters=6, checkpoint_dir=in_tmp / "m", after_step=interrupt, **RUN)
    assert step_of(in_tmp / "m") == 0


def test_what_is_no_function_is_refused(new, loader):
    with pytest.raises(mypt.ConfigError, match=r"^after_step: is 3; make it a function of one"):
        new().fit(loader, after_step=3, **RUN)


def test_a_loss_that_nobody_reads_is_not_read():
    class Unread(Readback):
        def values(self):
            raise AssertionError

    loss, heard = Unread(torch.tensor(1.0)), []
    callbacks = Callbacks(after_step=heard.append)
    callbacks.step_done(1, 0.1, None, loss, lambda: None)
    Callbacks().step_done(1, 0.1, None, loss, lambda: None)
    assert heard[0].step == 1
    with pytest.raises(AssertionError):
        _ = heard[0].loss


def test_without_a_function_nothing_is_kept():
    class Model: ...

    model = Model()
    kept = weakref.ref(model)
    Callbacks().step_done(1, 0.1, model, Readback(torch.tensor(1.0)), lambda: None)
    del model
    assert kept() is None
