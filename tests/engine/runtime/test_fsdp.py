"""A model that is split over processes, here over one that has a world of its own."""

import torch
from torch.autograd.graph import saved_tensors_hooks

import mypt
from mypt.engine.runtime.fsdp import shard
from mypt.format.documents.config import GPTConfig

CONFIG = GPTConfig(
    n_layer=2,
    n_embd=32,
    n_head=2,
    block_size=16,
    vocab_size=50,
    dropout=0.0,
    pos_encoding="rope",
    norm_type="rmsnorm",
    bias=False,
)


class World:
    size = 1


def measure(autocast_to):
    """Give the loss, a gradient, and the bytes of weights that wait for the backward pass."""
    torch.manual_seed(0)
    model = shard(mypt.GPT(CONFIG), World(), torch.device("cpu"), autocast_to)
    shapes = {s for p in model.blocks.parameters() for s in (tuple(p.shape), tuple(p.shape)[::-1])}
    ids = torch.arange(48).reshape(3, 16) % 50
    kept = []
    hooks = saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model.loss(ids, ids)
    weights = [t for t in kept if t.dtype == torch.bfloat16 and tuple(t.shape) in shapes]
    waiting = sum(t.untyped_storage().nbytes() for t in weights)
    loss.backward()
    norm = model.blocks.layers[0].ln1.weight
    assert norm.grad.dtype == torch.float32
    return loss.item(), model.blocks.layers[0].sa.qkv.weight.grad.full_tensor(), waiting, weights


def test_what_autocast_converts_is_freed_until_the_backward_pass(group):
    loss, gradient, copies, _ = measure(None)
    same, equal, waiting, weights = measure(torch.bfloat16)
    assert len(weights) >= 8
    assert copies >= 2 * 12 * 32 * 32 * 2  # the layers' matrices, two bytes a number
    assert waiting == 0
    assert same == loss
    assert torch.equal(equal, gradient)
