"""The kit finds nothing wrong with mypt's own parts, and what is wrong with others."""

import pytest
import torch
import torch.nn.functional as F
from attrs import evolve
from torch import nn

import mypt.model.plugin
from mypt.format.layout import BUILT_IN
from mypt.model.parts.attention import CausalAttention
from mypt.plugins import PartFactory, Placement
from mypt.testing import TINY, ContractError, check_part

FACTORIES = mypt.model.plugin.mypt_parts()


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda f: f"{f.slot}-{f.name}")
def test_nothing_is_wrong_with_what_comes_with_mypt(factory):
    check_part(factory)


def test_a_config_of_ones_own_is_used():
    rope = next(factory for factory in FACTORIES if factory.name == "rope")
    check_part(rope, evolve(TINY, n_head=2, n_layer=1, qkv_bias=True))


class Scale(nn.Module):
    def __init__(self, _):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(24))

    def forward(self, x):
        return x * self.weight


class LooksAhead(Scale):
    def forward(self, x):
        return (x - x.mean(dim=1, keepdim=True)) * self.weight


class MixesRows(Scale):
    def forward(self, x):
        return (x - x.mean(dim=0, keepdim=True)) * self.weight


class Drops(Scale):
    def forward(self, x):
        return F.dropout(x * self.weight)


class Narrows(Scale):
    def forward(self, x):
        return (x * self.weight)[..., :12]


class Forgets(Scale):
    def forward(self, x):
        return x


class Counts(Scale):
    """Remembers training in something that is not saved."""

    seen = 0

    def forward(self, x):
        self.seen = self.seen or int(self.training)
        return x * self.weight * (1 + self.seen)


class Unreal(Scale):
    """Has a buffer that is not saved, and not computed anew either."""

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("factor", torch.full((24,), 0.5), persistent=False)

    def forward(self, x):
        return x * self.weight * self.factor


class Asks(Scale):
    """Takes a value out of a tensor, which no compiler can foresee."""

    def forward(self, x):
        return x * self.weight if float(x.detach().sum()) > 1e9 else x * self.weight * 2


class Overflows(Scale):
    def forward(self, x):
        return x * self.weight / 0.0


WEIGHT = {"weight": (24,)}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (LooksAhead, "its output for a position depends on other"),
        (MixesRows, "depend on the other rows"),
        (Drops, r"depends on other positions|two calls give different logits"),
        (Narrows, "its output is"),
        (Forgets, "ln1.weight gets no gradient"),
        (Counts, "saved and opened again, the model computes something else"),
        (Overflows, "not finite"),
    ],
)
def test_a_wrong_norm_is_told_what_it_does_wrong(part, message):
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("norm_type", "odd", build=part, tensors=lambda _: WEIGHT))


def test_an_error_of_the_part_says_what_was_checked():
    factory = PartFactory("norm_type", "odd", build=Unreal, tensors=lambda _: WEIGHT)
    with pytest.raises(Exception, match="meta") as raised:
        check_part(factory)
    assert "opened from a bundle" in raised.value.__notes__[0]
    factory = PartFactory("norm_type", "odd", build=Asks, tensors=lambda _: WEIGHT)
    with pytest.raises((torch._dynamo.exc.Unsupported, torch._dynamo.exc.UserError)) as raised:
        check_part(factory)
    assert "torch.compile" in raised.value.__notes__[0]


def test_tensors_that_are_not_announced_are_named():
    with pytest.raises(ContractError, match=r"not those it declares.*ln1\.weight"):
        check_part(PartFactory("norm_type", "odd", build=Scale))


def test_a_slot_that_is_none_is_refused():
    with pytest.raises(ContractError, match="its `slot` is 'norm'"):
        check_part(PartFactory("norm", "odd", build=Scale))


def test_options_that_are_no_schema_are_refused():
    with pytest.raises(ContractError, match="not a valid JSON Schema"):
        check_part(PartFactory("norm_type", "odd", build=Scale, options={"type": "thing"}))


class SeesTheFuture(CausalAttention):
    def forward(self, x, context, cache):
        return super().forward(x, context, cache) + x.flip(1)


class SkipsTheCache(CausalAttention):
    one_token = None

    def forward(self, x, context, cache):
        return super().forward(x, context, None)


class HurriesWrongly(CausalAttention):
    def one_token(self, linear):
        step = super().one_token(linear)
        return lambda x, context, cache: -step(x, context, cache)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (SeesTheFuture, "looks into the future"),
        (HurriesWrongly, "with a cache it generates"),
    ],
)
def test_a_wrong_attention_is_told_what_it_does_wrong(part, message):
    tensors = BUILT_IN["attention_type", "causal"]
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("attention_type", "odd", build=part, tensors=tensors))


def test_an_attention_without_a_cache_is_told_so():
    tensors = BUILT_IN["attention_type", "causal"]
    factory = PartFactory("attention_type", "odd", build=SkipsTheCache, tensors=tensors)
    with pytest.raises((ContractError, RuntimeError)) as raised:
        check_part(factory)
    assert "cache" in f"{raised.value} {getattr(raised.value, '__notes__', '')}"


class FromZero(nn.Module):
    """Takes the number of a position within the pass for the position."""

    def __init__(self, config):
        super().__init__()

    def forward(self, positions, key_positions):
        place = torch.arange(len(positions), dtype=torch.float32)
        return Placement(embedding=torch.sin(place)[:, None] * torch.arange(24))


class Whole(FromZero):
    def forward(self, positions, key_positions):
        return Placement(bias=key_positions - positions[:, None])


class Misshapen(FromZero):
    def forward(self, positions, key_positions):
        return Placement(bias=torch.zeros(3, len(positions), len(key_positions)))


class Bare(FromZero):
    def forward(self, positions, key_positions):
        return torch.zeros(len(positions), 24)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (FromZero, "with a cache that is filled"),
        (Whole, "not floating"),
        (Misshapen, "cannot be broadcast to"),
        (Bare, "not a Placement"),
    ],
)
def test_wrong_positions_are_told_what_they_do_wrong(part, message):
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("pos_encoding", "odd", build=part))
