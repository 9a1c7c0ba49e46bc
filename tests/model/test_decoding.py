"""A model whose tokens come one by one does what its modules do."""

import pytest
import torch
from torch import nn

from mypt.model.cache import KVCache
from mypt.model.decoding import Decoder, as_it_is, transposed
from mypt.model.generation import steps
from mypt.model.quantized import Int8Linear, is_quantized, quantize
from mypt.model.sampling import Sampling

ARCHITECTURES = [
    {},
    {"bias": True, "tie_weights": True, "mlp_type": "relu"},
    {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm"},
    {"mlp_type": "gelu_tanh", "head_bias": False, "mlp_bias": False, "norm_bias": False},
    {"pos_encoding": "rope", "head_size": 12, "attn_scale": 0.2, "norm_type": "rmsnorm"},
]


class Doubled(nn.Module):
    """A stranger's part, which knows nothing of single tokens."""

    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x, *shared):
        assert x.dim() == 3
        return self.part(x, *shared) * 2


def check(model, idx, linear):
    """Compare the logits of one token after another with those of all at once."""
    with torch.inference_mode():
        expected = model(idx)
        cache = KVCache(model.config)
        model(idx[:, :3], cache)
        decoder = Decoder(model, linear)
        for end in range(3, idx.size(1)):
            logits = decoder.next_logits(idx[:, end : end + 1], cache)
            torch.testing.assert_close(logits, expected[:, end], rtol=1e-4, atol=1e-5)
    assert cache.length == idx.size(1)


@pytest.mark.parametrize("linear", [as_it_is, transposed])
@pytest.mark.parametrize("changed", ARCHITECTURES)
def test_the_logits_of_one_token_after_another_are_those_of_all(make_model, ids, changed, linear):
    check(make_model(**changed), ids(3, 16), linear)


@pytest.mark.parametrize("place", ["sa", "fwd", "ln1", "block"])
def test_a_part_that_knows_nothing_of_it_is_called_as_it_is(make_model, ids, place):
    model = make_model(pos_encoding="rope")
    for number, block in enumerate(model.blocks):
        if place == "block":
            model.blocks[number] = Doubled(block)
        else:
            setattr(block, place, Doubled(getattr(block, place)))
    check(model, ids(2, 16), transposed)


def test_a_linear_layer_that_somebody_replaced_is_called_as_it_is(make_model, ids):
    model = make_model()
    model.blocks[0].sa.qkv = nn.Sequential(model.blocks[0].sa.qkv, nn.Tanh())
    check(model, ids(2, 16), as_it_is)
    check(model, ids(2, 16), transposed)


def test_hooks_see_every_token(make_model, ids):
    model, seen = make_model(), []
    assert Decoder.make(model, 1, 100) is not None
    model.blocks[0].fwd.register_forward_hook(lambda *_: seen.append(1))
    assert len(list(steps(model, ids(1, 4), 5, Sampling(temperature=0)))) == len(seen)


def test_many_tokens_are_those_of_few_at_a_time(make_model, ids):
    model = make_model(block_size=128)
    prompt = ids(1, 5)
    many = torch.cat([s.ids for s in steps(model, prompt, 100, Sampling(temperature=0))])
    for number in range(0, 100, 10):
        context = torch.cat([prompt[0], many[:number]])[None]
        few = torch.cat([s.ids for s in steps(model, context, 10, Sampling(temperature=0))])
        assert torch.equal(few, many[number : number + 10])


def test_weights_of_8_bits_come_near(make_model, ids):
    model = make_model(tie_weights=True, pos_encoding="rope", n_embd=48)
    idx = ids(2, 16)
    expected = model(idx)
    quantize(model)
    assert is_quantized(model)
    error = (model(idx) - expected).norm() / expected.norm()
    assert 0 < error < 0.05
    check(model, idx, transposed)


def test_a_layer_of_8_bits_rounds_by_half_a_step_at_most():
    layer = nn.Linear(40, 30)
    rounded = Int8Linear(layer)
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    found = rounded.rounded * rounded.factors[:, None]
    assert ((found - layer.weight).abs() <= step / 2 + 1e-7).all()
    x = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rounded(x), layer(x), rtol=0, atol=0.02)
    assert torch.equal(rounded(torch.zeros(1, 40))[0], layer.bias)
