"""Saving beside the training: what is written, what fails, what it takes."""

import threading

import pytest
import torch

import mypt
from mypt.data.batches.loader import GPTDataLoader
from mypt.engine.checkpoints import write
from mypt.engine.checkpoints.async_saver import AsyncSaver, CopyBuffers
from mypt.engine.checkpoints.checkpointer import Checkpointer
from mypt.engine.checkpoints.saver import Part
from mypt.engine.checkpoints.write import describe_model, weights_of
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.training.setup.model_setup import set_up_model, trained_parameters
from mypt.format.bundle.read import read_bundle
from mypt.format.documents.training import TrainingState
from mypt.format.errors import Problem, SaveError
from mypt.format.storage.commit import BundleWriter, open_for_writing

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "vocab_size": 40}


@pytest.fixture
def model():
    return mypt.GPT(mypt.GPTConfig(**SHAPE, tie_weights=True, head_bias=False)).train()


@pytest.fixture
def optimizer(model):
    optimizer = make_optimizer(model, mypt.TrainingConfig(max_iters=10))
    step(model, optimizer)
    return optimizer


def step(model, optimizer):
    model.loss(torch.arange(8)[None], torch.arange(8)[None]).backward()
    optimizer.step()


def state_of(model, optimizer):
    return TrackedOptimizer(optimizer, model, "adamw").collect()


def tensors(copy):
    moments = [value for parts in copy.optimizer["state"].values() for value in parts.values()]
    return [*copy.weights.values(), *moments]


def test_a_copy_is_equal_and_later_updates_leave_it_alone(model, optimizer):
    weights, state = weights_of(model), state_of(model, optimizer)
    copy = CopyBuffers().copy(weights, state)
    before = [tensor.clone() for tensor in tensors(copy)]
    assert all(torch.equal(copy.weights[name], tensor) for name, tensor in weights.items())
    step(model, optimizer)
    assert all(torch.equal(a, b) for a, b in zip(tensors(copy), before, strict=True))
    assert not torch.equal(copy.weights["ln_f.weight"], weights["ln_f.weight"])


def test_a_second_copy_takes_no_memory_of_its_own(model, optimizer):
    buffers = CopyBuffers()
    places = [
        [t.data_ptr() for t in tensors(buffers.copy(weights_of(model), state_of(model, optimizer)))]
        for _ in range(2)
    ]
    assert places[0] == places[1]


@pytest.mark.parametrize("training", [{}, {"freeze_layers": 1}, {"freeze_embeddings": True}])
def test_a_first_copy_takes_what_was_reserved(model, training, monkeypatch):
    training = mypt.TrainingConfig(**training)
    optimizer, buffers = make_optimizer(model, training), CopyBuffers()
    buffers.reserve(
        weights_of(model),
        TrackedOptimizer(optimizer, model, "adamw").expect(trained_parameters(model, training)),
    )
    reserved = {tensor.data_ptr() for tensor in buffers._kept.values()}
    with set_up_model(model, training):
        step(model, optimizer)
    monkeypatch.setattr(torch, "empty_like", None)
    copy = buffers.copy(weights_of(model), state_of(model, optimizer))
    assert {tensor.data_ptr() for tensor in tensors(copy)} == reserved


def test_tied_weights_are_copied_once_and_stay_tied(model, optimizer):
    buffers = CopyBuffers()
    for _ in range(2):
        copied = buffers.copy(weights_of(model), state_of(model, optimizer)).weights
        head, embedding = copied["lm_head.weight"], copied["token_embedding_table.weight"]
        assert head.data_ptr() == embedding.data_ptr()


@pytest.mark.parametrize("name", ["cat", "cat_fp16"])
def test_tied_weights_are_tied_on_the_disk(name, train, saved):
    train(tie_weights=True, head_bias=False, max_iters=1)
    weights = saved(name)
    head, embedding = weights["lm_head.weight"], weights["token_embedding_table.weight"]
    assert head.data_ptr() == embedding.data_ptr()


def test_a_save_is_written_beside_the_training(model, optimizer):
    go_on, there = threading.Event(), []
    saver = AsyncSaver(CopyBuffers())

    def write(copy):
        assert go_on.wait(10)
        there.append(copy.weights["ln_f.weight"].clone())

    expected = model.ln_f.weight.detach().clone()
    saver.save(weights_of(model), state_of(model, optimizer), Part(write))
    saver.check()  # neither waits nor raises while the writing goes on
    step(model, optimizer)
    assert not there
    go_on.set()
    saver.close()
    assert torch.equal(there[0], expected)


def test_there_is_one_save_at_a_time(model, optimizer):
    saver, running, most = AsyncSaver(CopyBuffers()), [], []

    def write(copy):
        running.append(copy)
        most.append(len(running))
        running.pop()

    for _ in range(5):
        saver.save(weights_of(model), state_of(model, optimizer), Part(write))
    saver.wait()
    saver.close()
    assert most == [1] * 5


def fail(_):
    raise SaveError(Problem("model.pt", "", "the disk is full", "free space"))


@pytest.mark.parametrize("call", ["check", "wait", "save"])
def test_a_failed_write_is_raised_at_the_next_call(model, optimizer, call):
    saver = AsyncSaver(CopyBuffers())
    parts = weights_of(model), state_of(model, optimizer)
    saver.save(*parts, Part(fail))
    while not saver._writing.done():
        threading.Event().wait(0.001)
    with pytest.raises(SaveError, match="the disk is full"):
        getattr(saver, call)(*((*parts, Part(fail)) if call == "save" else ()))
    saver.check()  # once
    saver.close()


def test_a_run_ends_within_one_step_of_a_failed_write_and_what_was_saved_is_whole(
    train, saved, monkeypatch, in_tmp
):
    """The write of step 6 fails; the run waits for that in step 7, to take the clock out of it."""
    commit, check, draw, drawn = (
        BundleWriter.commit,
        AsyncSaver.check,
        GPTDataLoader.train_batch,
        [],
    )

    def full(self, files, **options):
        if self.folder.name == "cat" and drawn:
            raise SaveError(Problem("cat", "", "the disk is full", "free space"))
        return commit(self, files, **options)

    def train_batch(*args, **options):
        drawn.append(1)
        return draw(*args, **options)

    def after_the_write(self):
        while self._writing is not None and len(drawn) > 6:
            self._writing.exception()
            check(self)

    monkeypatch.setattr(BundleWriter, "commit", full)
    monkeypatch.setattr(GPTDataLoader, "train_batch", train_batch)
    monkeypatch.setattr(AsyncSaver, "check", after_the_write)
    with pytest.raises(SaveError, match="the disk is full"):
        train()
    assert len(drawn) == 7
    assert read_bundle(in_tmp / "checkpoints" / "cat").training_state.step == 0


def test_the_failure_of_a_run_is_told_rather_than_that_of_its_last_save(model, optimizer):
    saver = AsyncSaver(CopyBuffers())
    saver.save(weights_of(model), state_of(model, optimizer), Part(fail))
    saver.close()


def test_what_is_written_is_the_copy_and_not_the_model(model, optimizer, tmp_path):
    with open_for_writing(tmp_path / "m") as writer:
        checkpointer = Checkpointer(writer, describe_model(model, None))
        copy = CopyBuffers().copy(weights_of(model), state_of(model, optimizer))
        expected = model.ln_f.weight.detach().clone()
        step(model, optimizer)
        checkpointer.write_own(copy, TrainingState(step=1))
    assert torch.equal(read_bundle(tmp_path / "m").weights()["ln_f.weight"], expected)


def test_what_bundles_require_is_asked_once_and_not_at_every_save(train, monkeypatch):
    asked = []
    need = write.find_model_requirements
    monkeypatch.setattr(
        write, "find_model_requirements", lambda *args: asked.append(1) or need(*args)
    )
    train(max_iters=8, eval_interval=1)
    assert len(asked) == 2  # by the save before training, and by the run
