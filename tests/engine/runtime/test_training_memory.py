"""The figures are those of real tensors."""

import pytest
import torch

import mypt
from mypt.engine.checkpoints.async_saver import CopyBuffers
from mypt.engine.checkpoints.memory_check import measure_memory
from mypt.engine.checkpoints.write import weights_of
from mypt.engine.optimizers.build import make_optimizer
from mypt.engine.optimizers.tracked import TrackedOptimizer
from mypt.engine.runtime.training_memory import count_training_memory
from mypt.engine.runtime.world import ALONE, World
from mypt.engine.training.setup.model_setup import set_up_model, trained_parameters

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 3, "vocab_size": 40}
GB = 1_000_000_000


def size(tensors):
    return sum(tensor.nbytes for tensor in tensors)


def step(model, optimizer):
    model.loss(torch.arange(8)[None], torch.arange(8)[None]).backward()
    optimizer.step()


def tensors_of(copy):
    moments = [part for parts in copy.optimizer["state"].values() for part in parts.values()]
    return {tensor.data_ptr(): tensor for tensor in (*copy.weights.values(), *moments)}.values()


@pytest.mark.parametrize("training", [{}, {"freeze_layers": 2}, {"freeze_embeddings": True}])
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_counted_is_what_is_taken(training, tied):
    model = mypt.GPT(mypt.GPTConfig(**SHAPE, tie_weights=tied, head_bias=False)).train()
    training = mypt.TrainingConfig(**training)
    optimizer = make_optimizer(model, training)
    tracked = TrackedOptimizer(optimizer, model, "adamw")
    trained = trained_parameters(model, training)
    memory, held = measure_memory(model, tracked, trained, ALONE, saves=True)
    assert held == memory.weights == size(model.parameters())
    with set_up_model(model, training):
        step(model, optimizer)
    assert memory.gradients == size(p.grad for p in model.parameters() if p.grad is not None)
    moments = [part for parts in optimizer.state.values() for part in parts.values()]
    assert memory.state == size(part for part in moments if part.dim())
    copied = CopyBuffers().copy(weights_of(model), tracked.collect())
    assert memory.copy == size(tensor for tensor in tensors_of(copied) if tensor.dim())
    again, held = measure_memory(model, tracked, trained, ALONE, saves=True)
    assert again == memory
    assert held == memory.weights + memory.state


def test_moments_of_what_is_frozen_now_stay():
    model = mypt.GPT(mypt.GPTConfig(**SHAPE)).train()
    optimizer = make_optimizer(model, mypt.TrainingConfig())
    tracked = TrackedOptimizer(optimizer, model, "adamw")
    before, _ = measure_memory(model, tracked, {*model.parameters()}, ALONE, saves=True)
    step(model, optimizer)
    trained = trained_parameters(model, mypt.TrainingConfig(freeze_layers=2))
    memory, _ = measure_memory(model, tracked, trained, ALONE, saves=True)
    assert memory.gradients < before.gradients
    assert (memory.state, memory.copy) == (before.state, before.copy)


def test_one_process_keeps_the_copy():
    model = mypt.GPT(mypt.GPTConfig(**SHAPE)).train()
    optimizer = make_optimizer(model, mypt.TrainingConfig())
    tracked = TrackedOptimizer(optimizer, model, "adamw")
    parts = model, tracked, {*model.parameters()}
    assert measure_memory(*parts, World(1, 2), saves=False)[0].copy == 0


def test_a_shard_is_a_part_and_the_copy_is_whole():
    memory = count_training_memory(4 * GB, processes=4, is_sharded=True)
    assert (memory.weights, memory.gradients, memory.state) == (GB, GB, 2 * GB)
    assert memory.copy == 12 * GB
    assert memory.describe() == (
        "1.0 GB weights, 1.0 GB gradients, 2.0 GB moments of AdamW, 12.0 GB copy for saving"
    )


def test_processes_that_exchange_gradients_keep_them_twice():
    assert count_training_memory(GB, processes=2).gradients == 2 * GB


def test_the_state_of_another_optimizer_has_its_name():
    memory = count_training_memory(GB, state=GB // 2, optimizer="mine")
    assert (memory.state, memory.copy) == (GB // 2, GB * 3 // 2)
    assert "500.0 MB state of mine" in memory.describe()


def test_a_run_that_saves_nothing_needs_no_copy():
    memory = count_training_memory(GB, saves=False)
    assert memory.copy == 0
    assert "copy" not in memory.describe()


def test_a_mean_of_the_weights_takes_them_once_more_on_the_device_and_in_the_copy():
    with_mean, without = count_training_memory(GB, mean=GB), count_training_memory(GB)
    assert with_mean.on_device - without.on_device == GB
    assert with_mean.copy - without.copy == GB
    assert "1.0 GB mean of the weights" in with_mean.describe()
    assert count_training_memory(GB, mean=GB, processes=4, is_sharded=True).mean == GB // 4
