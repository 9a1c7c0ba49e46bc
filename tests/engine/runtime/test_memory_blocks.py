import pytest
import torch

import mypt
from mypt.engine.config.presets import read_preset, shipped_presets
from mypt.engine.runtime.memory_blocks import allocate_like


def blocks(tensors):
    held = [tensor.untyped_storage() for tensor in tensors.values()]
    return {storage.data_ptr(): storage.nbytes() for storage in held}


@pytest.mark.parametrize("name", shipped_presets())
def test_little_is_taken_beyond_the_tensors_of_a_model(name, plugins):
    with torch.device("meta"):
        model = mypt.GPT(read_preset(name, plugins.layouts).config)
    parts = ("weights", "exp_avg", "exp_avg_sq")
    likes = {(part, n): p for n, p in model.named_parameters() for part in parts}
    made, need = allocate_like(likes, pinned=False), sum(p.nbytes for p in likes.values())
    taken = blocks(made).values()
    assert all(size & (size - 1) == 0 for size in taken)  # what torch rounds up to, if it is pinned
    assert sum(taken) < (1.02 if need > 300_000_000 else 1.4) * need
    assert {key: (p.shape, p.dtype) for key, p in made.items()} == {
        key: (p.shape, p.dtype) for key, p in likes.items()
    }


def test_no_two_tensors_overlap_and_all_are_aligned():
    likes = {
        n: torch.empty(n % 7, n, dtype=(torch.float32, torch.bfloat16, torch.int64)[n % 3])
        for n in range(1, 300)
    }
    likes |= {"scalar": torch.empty(()), "empty": torch.empty(0)}
    made = allocate_like(likes, pinned=False)
    for number, tensor in enumerate(made.values()):
        assert tensor.is_contiguous()
        assert tensor.numel() == 0 or tensor.data_ptr() % 64 == 0
        tensor.fill_(number % 100)
    for number, tensor in enumerate(made.values()):
        assert (tensor == number % 100).all()
    assert len(blocks(made)) < 4


def test_one_that_is_larger_than_any_block_has_its_own():
    made = allocate_like(
        {0: torch.empty(2**28 + 1, dtype=torch.uint8, device="meta")}, pinned=False
    )
    assert made[0].nbytes == 2**28 + 1


def test_nothing_takes_nothing():
    assert allocate_like({}, pinned=False) == {}
