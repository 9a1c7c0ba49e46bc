"""A model whose tokens come one by one does what its modules do."""

from functools import partial

import pytest
import torch
from torch import nn

from mypt.model.decoding import decoder
from mypt.model.decoding.decoder import (
    Decoder,
    choose_linear,
    packed_linear,
    plain_linear,
    swapped_linear,
    turned_linear,
)
from mypt.model.decoding.generate import steps
from mypt.model.decoding.huge_pages import HugePages, has_huge_pages
from mypt.model.decoding.sampling_options import Sampling
from mypt.model.quantized import quantize

ARCHITECTURES = [
    {},
    {"bias": True, "tie_weights": True, "mlp_type": "relu"},
    {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm"},
    {"mlp_type": "gelu_tanh", "head_bias": False, "mlp_bias": False, "norm_bias": False},
    {"pos_encoding": "rope", "head_size": 12, "attn_scale": 0.2, "norm_type": "rmsnorm"},
]


LAYOUTS_OF_ROWS = {
    "plain_linear": plain_linear,
    "swapped_linear": swapped_linear,
    "packed_linear": partial(packed_linear, batch_size=3),
}
LAYOUTS = {**LAYOUTS_OF_ROWS, "turned_linear": partial(turned_linear, empty=torch.empty)}
if has_huge_pages():
    LAYOUTS["huge_pages"] = partial(turned_linear, empty=HugePages(10**6).empty)
OF_ROWS = pytest.mark.parametrize("linear", LAYOUTS_OF_ROWS.values(), ids=LAYOUTS_OF_ROWS)
ALL = pytest.mark.parametrize("linear", LAYOUTS.values(), ids=LAYOUTS)


@pytest.fixture(autouse=True)
def small_matrices_are_laid_out_too(monkeypatch):
    monkeypatch.setattr(decoder, "PACKED_FROM", 0)


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
        cache = model.make_cache()
        model(idx[:, :3], cache)
        decoder = Decoder(model, linear)
        for end in range(3, idx.size(1)):
            logits = decoder.next_logits(idx[:, end : end + 1], cache)
            torch.testing.assert_close(logits, expected[:, end], rtol=1e-4, atol=1e-5)
    assert cache.length == idx.size(1)


@OF_ROWS
@pytest.mark.parametrize("changed", ARCHITECTURES)
def test_the_logits_of_one_token_after_another_are_those_of_all(make_model, ids, changed, linear):
    check(make_model(**changed), ids(3, 16), linear)


@ALL
@pytest.mark.parametrize("changed", ARCHITECTURES)
def test_a_single_row_gets_what_it_gets_among_others(make_model, ids, changed, linear):
    check(make_model(**changed), ids(1, 16), linear)


@pytest.mark.parametrize("place", ["sa", "fwd", "ln1", "block"])
def test_a_part_that_knows_nothing_of_it_is_called_as_it_is(make_model, ids, place):
    model = make_model(pos_encoding="rope")
    for number, block in enumerate(model.blocks):
        if place == "block":
            model.blocks[number] = Doubled(block)
        else:
            setattr(block, place, Doubled(getattr(block, place)))
    check(model, ids(2, 16), swapped_linear)


@ALL
def test_a_linear_layer_that_somebody_replaced_is_called_as_it_is(make_model, ids, linear):
    model = make_model()
    model.blocks[0].sa.qkv = nn.Sequential(model.blocks[0].sa.qkv, nn.Tanh())
    check(model, ids(1, 16), linear)


def multiplied(model, batch_size, new_tokens):
    """Name how the layers of a model would be computed."""
    linear = choose_linear(model, batch_size, new_tokens)
    functions = linear(model.blocks[0].sa.qkv), model.lm_head.one_token(linear)
    return [getattr(function, "__qualname__", "").split(".")[0] for function in functions]


def test_layers_are_laid_out_by_rows_tokens_and_size(make_model, monkeypatch):
    monkeypatch.setattr(decoder, "PACKED_FROM", 100 * 24)
    model = make_model(vocab_size=200)
    for tokens in (1, 100):  # all of it stays in the cache
        assert multiplied(model, 1, tokens) == ["plain_linear"] * 2
        assert multiplied(model, 2, tokens) == ["swapped_linear"] * 2
    monkeypatch.setattr(decoder, "LARGE_BYTES", 1000)
    assert multiplied(model, 1, 10) == ["plain_linear"] * 2
    assert multiplied(model, 1, 100) == ["turned_linear"] * 2
    assert multiplied(model, 2, 10) == ["swapped_linear", "pack_linear"]
    for supported, bf16 in ((True, "pack_linear"), (False, "plain_linear")):
        monkeypatch.setattr(
            decoder, "can_pack_linear", lambda dtype, on=supported: on and dtype == torch.bfloat16
        )
        for rows in (1, 2):
            assert multiplied(model.to(torch.bfloat16), rows, 10) == [bf16] * 2
            assert multiplied(model, rows, 2) == ["plain_linear"] * 2
        assert multiplied(model.to(torch.float16), 1, 100) == ["plain_linear"] * 2


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_16_bits_decodes_as_it_reads(make_model, ids, dtype, rows):
    model, idx = make_model(pos_encoding="rope", norm_type="rmsnorm").to(dtype), ids(rows, 16)
    with torch.inference_mode():
        expected, cache = model(idx), model.make_cache()
        model(idx[:, :3], cache)
        step = Decoder(model, choose_linear(model, rows, 100))
        for end in range(3, idx.size(1)):
            logits = step.next_logits(idx[:, end : end + 1], cache)
            torch.testing.assert_close(logits, expected[:, end], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("has", [True, False])
def test_one_row_has_its_weights_in_huge_pages_where_there_are_some(make_model, monkeypatch, has):
    made = []

    class Pages:
        def __init__(self, size):
            made.append(size)

        def empty(self, *shape, dtype):
            made.append(shape)
            return torch.empty(*shape, dtype=dtype)

    monkeypatch.setattr(decoder, "HugePages", Pages)
    monkeypatch.setattr(decoder, "has_huge_pages", lambda: has)
    monkeypatch.setattr(decoder, "LARGE_BYTES", 0)
    model = make_model(tie_weights=True)
    Decoder.make(model, 1, 100)
    layers = [module for module in model.modules() if type(module) is nn.Linear]
    shapes = [tuple(layer.weight.T.shape) for layer in [*layers, model.lm_head]]
    size = sum(weight.nbytes for weight in model.parameters())
    assert sorted(map(str, made)) == (sorted(map(str, [size, *shapes])) if has else [])
    made.clear()
    Decoder.make(model, 1, 10)
    assert made == []


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_outputs", [1, 255, 257, 600])
def test_a_turned_layer_of_any_size_computes_what_the_layer_does(n_outputs, bias):
    layer, x = nn.Linear(7, n_outputs, bias=bias), torch.randn(1, 7)
    with torch.inference_mode():
        torch.testing.assert_close(turned_linear(layer, empty=torch.empty)(x), layer(x))


def test_hooks_see_every_token(make_model, ids):
    model, seen = make_model(), []
    assert Decoder.make(model, 1, 100) is not None
    model.blocks[0].fwd.register_forward_hook(lambda *_: seen.append(1))
    assert len(list(steps(model, ids(1, 4), 5, Sampling(temperature=0)))) == len(seen)


def test_many_tokens_are_those_of_few_at_a_time(make_model, ids, monkeypatch):
    """Many are worth laying the weights out, few are not."""
    monkeypatch.setattr(decoder, "LARGE_BYTES", 0)
    model = make_model(block_size=128)
    prompt = ids(1, 5)
    many = torch.cat([s.ids for s in steps(model, prompt, 100, Sampling(temperature=0))])
    for number in range(0, 100, 10):
        context = torch.cat([prompt[0], many[:number]])[None]
        few = torch.cat([s.ids for s in steps(model, context, 10, Sampling(temperature=0))])
        assert torch.equal(few, many[number : number + 10])


def test_a_model_of_8_bits_decodes_as_it_reads(make_model, ids):
    model = make_model(tie_weights=True, pos_encoding="rope")
    quantize(model)
    check(model, ids(2, 16), plain_linear)
