"""What fits and what does not, on made up machines with and without a GPU."""

import math

import pytest
import torch

from mypt.engine.checkpoints import async_saver, memory_check
from mypt.engine.checkpoints.async_saver import AsyncSaver, CopyBuffers
from mypt.engine.checkpoints.memory_check import check_memory, choose_saver, direct_notice
from mypt.engine.checkpoints.saver import DirectSaver
from mypt.engine.runtime.out_of_memory import OutOfMemoryError
from mypt.engine.runtime.training_memory import count_training_memory

GB = 1_000_000_000
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
MEMORY = count_training_memory(3 * GB)  # 12 GB to compute with, and a copy of 9
WEIGHTS, MOMENTS = {"w": torch.ones(4)}, {"w": {"exp_avg": torch.ones(4)}}


@pytest.fixture
def machine(monkeypatch):
    """Give what sets the memory that is free, in GB."""

    def call(cpu, gpu=None):
        def free_memory(*, of_others=0):
            return cpu * GB - of_others

        monkeypatch.setattr(memory_check, "free_memory", free_memory)
        if gpu is not None:
            monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (gpu * GB, 100 * GB))
            monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 0)
            monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 0)

    return call


def test_what_a_cpu_lacks_is_one_line_with_each_share(machine):
    machine(cpu=4)
    with pytest.raises(OutOfMemoryError) as refused:
        check_memory(MEMORY, 3 * GB, CPU)
    assert str(refused.value) == (
        "memory: cpu has 7.0 GB for this run, which needs 12.0 GB there and 9.0 GB on the CPU to "
        "save: 3.0 GB weights, 3.0 GB gradients, 6.0 GB moments of AdamW, 9.0 GB copy for saving; "
        "lower n_embd, n_layer or vocab_size of a new model, freeze layers with --freeze_layers, "
        "or split the model over several GPUs with --shard"
    )


def test_what_a_gpu_lacks_is_one_line_too(machine):
    machine(cpu=1000, gpu=8)
    with pytest.raises(OutOfMemoryError, match=r"memory: cuda:0 has 11\.0 GB for this run, which"):
        check_memory(MEMORY, 3 * GB, GPU)


def test_the_copy_of_a_gpu_is_on_the_cpu(machine):
    machine(cpu=5, gpu=9)
    assert check_memory(MEMORY, 3 * GB, GPU) == 5 * GB


def test_on_a_cpu_the_copy_takes_what_the_rest_leaves(machine):
    machine(cpu=14)
    assert check_memory(MEMORY, 3 * GB, CPU) == 5 * GB
    assert check_memory(MEMORY, 9 * GB, CPU) == 11 * GB  # it has its moments already


def test_processes_on_one_machine_share_its_memory(machine):
    machine(cpu=26)
    assert check_memory(MEMORY, 3 * GB, CPU, 2) == 8 * GB
    machine(cpu=17)
    with pytest.raises(OutOfMemoryError, match="cpu has 11"):
        check_memory(MEMORY, 3 * GB, CPU, 2)
    machine(cpu=17, gpu=9)
    assert check_memory(MEMORY, 3 * GB, GPU, 2) == 17 * GB


def test_a_copy_that_fits_is_allocated_before_there_is_anything_to_copy(monkeypatch):
    buffers = CopyBuffers()
    saver = choose_saver(MEMORY, 9 * GB, buffers, WEIGHTS, MOMENTS)
    assert isinstance(saver, AsyncSaver)
    monkeypatch.setattr(torch, "empty_like", None)
    copied = buffers.copy(WEIGHTS, {"state": MOMENTS})
    assert torch.equal(copied.weights["w"], WEIGHTS["w"])
    saver.close()


def test_without_room_for_it_the_run_saves_at_once():
    assert isinstance(choose_saver(MEMORY, 9 * GB - 1, CopyBuffers(), {}, {}), DirectSaver)
    assert "no room for the copy of 9.0 GB" in direct_notice(MEMORY)


def fail(*_, **__):
    raise RuntimeError("CUDA error: out of memory")


def test_a_copy_that_cannot_be_allocated_after_all_is_no_end(monkeypatch):
    monkeypatch.setattr(async_saver, "allocate_like", fail)
    saver = choose_saver(MEMORY, math.inf, CopyBuffers(), WEIGHTS, MOMENTS)
    assert isinstance(saver, DirectSaver)


def test_a_sharded_model_is_gathered_in_a_copy_and_in_nothing_else():
    said = r"first process has 5\.0 GB on the CPU for the copy for saving.*and takes 9\.0 GB"
    with pytest.raises(OutOfMemoryError, match=said):
        choose_saver(MEMORY, 5 * GB, CopyBuffers(is_sharded=True), WEIGHTS, MOMENTS)


def test_buffers_for_a_gpu_are_pinned(monkeypatch):
    asked = []
    monkeypatch.setattr(async_saver, "allocate_like", lambda _, pinned: asked.append(pinned) or {})
    buffers = CopyBuffers()
    buffers.reserve(WEIGHTS, MOMENTS)
    with torch.device("meta"):
        on_gpu = torch.ones(4)
    monkeypatch.setattr(type(on_gpu), "device", GPU)
    buffers.reserve({"w": on_gpu}, MOMENTS)
    assert asked == [False, True]
