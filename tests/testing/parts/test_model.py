"""The kit finds nothing wrong with mypt's own parts, and what is wrong with others."""

import random
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from attrs import evolve
from torch import nn

import mypt.model.plugin
from mypt.format.layout import BUILT_IN
from mypt.model.parts.attention import CausalAttention
from mypt.plugins import PartFactory, Placement, hookimpl
from mypt.testing import TINY, ContractError, check_part, registered

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


class Buffered(Scale):
    """Has a buffer that is not saved, which follows from the config."""

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("factor", torch.full((24,), 0.5), persistent=False)

    def forward(self, x):
        return x * self.weight * self.factor


class Holds(Scale):
    """Has a tensor that is neither a buffer nor a parameter."""

    def __init__(self, config):
        super().__init__(config)
        self.factor = torch.full((24,), 0.5)

    def forward(self, x):
        return x * self.weight * self.factor


class Gambles(Scale):
    """Draws numbers that no seed of torch decides."""

    def forward(self, x):
        return x * self.weight * (random.random() if self.training else 1.0)


class DropsOut(Scale):
    def __init__(self, config):
        super().__init__(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.dropout(x * self.weight)


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
        (Drops, "two calls in `eval` mode give different outputs: it draws random numbers"),
        (Narrows, "its output is"),
        (Forgets, "ln1.weight gets no gradient"),
        (Counts, "remembers earlier passes|saved and opened again, the model computes something"),
        (Gambles, "gradient of .* differs from one random seed"),
        (Holds, "a model that is opened from a bundle: it raises RuntimeError: .*meta"),
        (Asks, r"torch\.compile\(fullgraph=True\): it raises "),
        (Overflows, "not finite"),
    ],
)
def test_a_wrong_norm_is_told_what_it_does_wrong(part, message):
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("norm_type", "odd", build=part, tensors=lambda _: WEIGHT))


@pytest.mark.parametrize(("part", "dropout"), [(Buffered, 0.0), (DropsOut, 0.2)])
def test_nothing_is_wrong_with_a_right_norm(part, dropout):
    factory = PartFactory("norm_type", "right", build=part, tensors=lambda _: WEIGHT)
    check_part(factory, evolve(TINY, dropout=dropout))


@pytest.mark.parametrize("factory", FACTORIES[2:7:4], ids=lambda f: f"{f.slot}-{f.name}")
def test_dropout_of_the_model_is_no_fault_of_a_part(factory):
    check_part(factory, evolve(TINY, dropout=0.3))


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (
            PartFactory("norm_type", "odd", build=lambda _: torch.tanh),
            "it returns builtin_func",
        ),
        (PartFactory("norm_type", "odd", build=lambda _: None), "it returns NoneType, not Module"),
        (PartFactory("norm_type", "odd", build=lambda: Scale(None)), "it raises TypeError: "),
        (lambda config: Scale(config), "it is a function, not a PartFactory"),
        (Scale, "it is a type, not a PartFactory"),
    ],
)
def test_what_is_no_part_is_said_to_be_none(factory, said):
    with pytest.raises(ContractError, match=said):
        check_part(factory)


class Wide(nn.Module):
    """An MLP whose width is a setting of its package, as is that of `Narrow`."""

    def __init__(self, config):
        super().__init__()
        rows = config.plugins["acme"]["rows"]
        self.up = nn.Linear(24, rows, bias=False)
        self.down = nn.Linear(rows, 24, bias=False)

    def forward(self, x):
        return self.down(self.up(x))


def wide_tensors(config):
    rows = config.plugins["acme"]["rows"]
    return {"up.weight": (rows, 24), "down.weight": (24, rows)}


ROWS = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "integer"}}}
WIDE = PartFactory("mlp_type", "wide", Wide, wide_tensors, options=ROWS)
RIGHT = PartFactory("norm_type", "right", Scale, lambda _: WEIGHT, options=ROWS)


def test_a_part_is_held_to_the_schema_of_its_settings():
    check_part(WIDE, evolve(TINY, plugins={"acme": {"rows": 5}}))
    for settings in ({}, {"acme": {}}, {"acme": {"rows": "many"}}):
        with pytest.raises(ContractError, match="rows"):
            check_part(WIDE, evolve(TINY, plugins=settings))


def test_the_parts_of_a_package_are_checked_together():
    plugins = registered(
        SimpleNamespace(mypt_parts=hookimpl(lambda: [WIDE, RIGHT])), package="acme"
    )
    config = evolve(TINY, plugins={"acme": {"rows": 5}}, mlp_type="wide", norm_type="right")
    for factory in (WIDE, RIGHT, plugins.part("mlp_type", "wide")):
        check_part(factory, config, plugins=plugins)
    with pytest.raises(ContractError, match="wide"):
        check_part(RIGHT, config)


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


class IgnoresTheMask(CausalAttention):
    def forward(self, x, context, cache):
        is_whole = cache is None and context.mask is not None and context.mask.dim() == 4
        return super().forward(x, context._replace(mask=None) if is_whole else context, cache)


class HurriesWrongly(CausalAttention):
    def one_token(self, linear):
        step = super().one_token(linear)
        return lambda x, context, cache: -step(x, context, cache)


class RotatesOnlyAnew(CausalAttention):
    """Rotates what is new by the first positions, whatever the cache holds."""

    one_token = None

    def forward(self, x, context, cache):
        if cache is not None and context.start and context.rotate is not None:
            context = context._replace(rotate=lambda heads: heads)
        return super().forward(x, context, cache)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (RotatesOnlyAnew, "where positions are rotated: with a cache"),
        (SeesTheFuture, "looks into the future"),
        (IgnoresTheMask, "a text depends on one that it shares its row with: it ignores `mask`"),
        (HurriesWrongly, "with a cache it generates"),
    ],
)
def test_a_wrong_attention_is_told_what_it_does_wrong(part, message):
    tensors = BUILT_IN["attention_type", "causal"].tensors
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("attention_type", "odd", build=part, tensors=tensors))


def test_an_attention_without_a_cache_is_told_so():
    tensors = BUILT_IN["attention_type", "causal"].tensors
    factory = PartFactory("attention_type", "odd", build=SkipsTheCache, tensors=tensors)
    with pytest.raises(ContractError, match="cache"):
        check_part(factory)


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
