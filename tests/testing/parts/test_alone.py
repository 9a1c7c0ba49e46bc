"""The kit on parts that know their layer, and on embeddings, heads and stacks."""

import pytest
import torch
import torch.nn.functional as F
from attrs import evolve
from torch import nn

from mypt.format.layout import BUILT_IN
from mypt.model.parts.attention import CausalAttention
from mypt.plugins import (
    ConfigError,
    LinearHead,
    PartFactory,
    Problem,
    TokenEmbedding,
    linear_head,
    make_layer_cache,
    output_loss,
    token_embedding,
)
from mypt.testing import TINY, ContractError, check_part

# Parts that know their layer.


class Taper(nn.Module):
    """An MLP that is narrower the deeper it is."""

    def __init__(self, config, layer):
        super().__init__()
        self.up = nn.Linear(config.n_embd, 16 >> layer, bias=False)
        self.down = nn.Linear(16 >> layer, config.n_embd, bias=False)
        scale = torch.full((1,), 1.0 + layer)
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, x):
        return self.down(self.up(x).relu()) * self.scale


def taper_tensors(config, layer):
    width = 16 >> layer
    return {"up.weight": (width, config.n_embd), "down.weight": (config.n_embd, width)}


def test_a_part_that_knows_its_layer_is_built_for_each():
    check_part(PartFactory("mlp_type", "taper", build=Taper, tensors=taper_tensors))


@pytest.mark.parametrize(
    ("build", "tensors"),
    [
        (Taper, lambda config: taper_tensors(config, 0)),
        (lambda config: Taper(config, 0), taper_tensors),
        (Taper, lambda config, layer: taper_tensors(config, layer + 1)),
    ],
)
def test_a_part_with_the_tensors_of_another_layer_is_refused(build, tensors):
    message = r"not those it declares.*blocks\.1\.fwd\.down\.weight"
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("mlp_type", "taper", build=build, tensors=tensors))


class Shortsighted(CausalAttention):
    """Does not look at the window of the config."""

    def forward(self, x, context, cache):
        if context.window is not None and cache is None:
            context = context._replace(mask=None, window=None)
        return super().forward(x, context, cache)


class Refuses(Shortsighted):
    def __init__(self, config):
        if config.sliding_window is not None:
            problem = Problem("config.json", "/sliding_window", "has no window", "set it to null")
            raise ConfigError(problem)
        super().__init__(config)


def test_an_attention_that_looks_beyond_the_window_is_refused():
    tensors = BUILT_IN["attention_type", "causal"].tensors
    with pytest.raises(ContractError, match="where layers have windows: with a cache"):
        check_part(PartFactory("attention_type", "odd", build=Shortsighted, tensors=tensors))
    check_part(PartFactory("attention_type", "odd", build=Refuses, tensors=tensors))


# Embeddings.


class Factored(nn.Module):
    """An embedding that is the product of two smaller matrices, with a norm."""

    def __init__(self, config, make_norm):
        super().__init__()
        self.table = nn.Embedding(config.vocab_size, 4)
        self.widen = nn.Linear(4, config.n_embd, bias=False)
        self.norm = make_norm()

    def forward(self, idx):
        return self.norm(self.widen(self.table(idx)))


def factored_tensors(config, norm):
    return {
        "table.weight": (config.vocab_size, 4),
        "widen.weight": (config.n_embd, 4),
        **{f"norm.{name}": shape for name, shape in norm.items()},
    }


class Steps(TokenEmbedding):
    """An ordinary embedding whose first values are others."""

    def reset(self, generator):
        self.weight.normal_(0, 1, generator=generator)


@pytest.mark.parametrize(
    ("build", "tensors"), [(Factored, factored_tensors), (Steps, token_embedding)]
)
def test_nothing_is_wrong_with_a_right_embedding(build, tensors):
    check_part(PartFactory("embedding_type", "mine", build=build, tensors=tensors))


class LooksAhead(TokenEmbedding):
    def forward(self, idx):
        return super().forward(idx) + super().forward(idx.roll(-1, 1))


class LooksBack(TokenEmbedding):
    def forward(self, idx):
        return super().forward(idx) + super().forward(idx[:, :1])


class HurriesWrongly(TokenEmbedding):
    def one_token(self, linear):
        return lambda ids: -F.embedding(ids, self.weight)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (LooksAhead, "its output for a position depends on other positions"),
        (LooksBack, "its output for a position depends on other positions"),
        (HurriesWrongly, "with a cache it generates"),
        (lambda config, make_norm: nn.Embedding(config.vocab_size, 23), "not those it declares"),
    ],
)
def test_a_wrong_embedding_is_told_what_it_does_wrong(build, message):
    factory = PartFactory("embedding_type", "odd", build=build, tensors=token_embedding)
    with pytest.raises(ContractError, match=message):
        check_part(factory)


def test_what_has_no_weight_cannot_be_tied():
    factory = PartFactory("embedding_type", "mine", build=Factored, tensors=factored_tensors)
    message = r"tie_weights: is true, but embedding_type `mine` has no `weight` of shape \(31, 24\)"
    with pytest.raises(ContractError, match=message):
        check_part(factory, evolve(TINY, tie_weights=True))


# Heads.


class Bounded(LinearHead):
    """A head with a z-loss in training and a soft cap of its own."""

    def forward(self, x):
        return 5 * (F.linear(x, self.weight, self.bias) / 5).tanh()

    def loss(self, x, targets, loss_mask):
        z_loss = 0.01 if self.training else 0.0
        tensors = x, self.weight, self.bias, targets, loss_mask
        return output_loss(*tensors, soft_cap=5.0, z_loss=z_loss)

    def one_token(self, linear):
        return self.forward

    def quantize(self, make):
        return self


class TwoSteps(nn.Module):
    """A head of two linear layers, with the loss of full logits."""

    def __init__(self, config):
        super().__init__()
        self.narrow = nn.Linear(config.n_embd, 8)
        self.widen = nn.Linear(8, config.vocab_size)

    def forward(self, x):
        return self.widen(self.narrow(x).relu())

    def loss(self, x, targets, loss_mask):
        tensors = self.widen.weight, self.widen.bias, targets, loss_mask
        return output_loss(self.narrow(x).relu(), *tensors)


def two_steps(config):
    return {
        "narrow.weight": (8, config.n_embd),
        "narrow.bias": (8,),
        "widen.weight": (config.vocab_size, 8),
        "widen.bias": (config.vocab_size,),
    }


@pytest.mark.parametrize(("build", "tensors"), [(Bounded, linear_head), (TwoSteps, two_steps)])
def test_nothing_is_wrong_with_a_right_head(build, tensors):
    check_part(PartFactory("head_type", "mine", build=build, tensors=tensors))


class AlwaysZ(Bounded):
    def loss(self, x, targets, loss_mask):
        return output_loss(x, self.weight, self.bias, targets, loss_mask, soft_cap=5.0, z_loss=0.01)


class ForgetsTheCap(Bounded):
    loss = LinearHead.loss


class ForgetsTheMask(LinearHead):
    def loss(self, x, targets, loss_mask):
        return super().loss(x, targets, None)


class Stops(LinearHead):
    """Has the right loss, but no gradient of the bias."""

    def loss(self, x, targets, loss_mask):
        return output_loss(x, self.weight, self.bias.detach(), targets, loss_mask)


class Untied(LinearHead):
    """Keeps the weight that it was built with."""

    def __init__(self, config):
        super().__init__(config)
        self.held = [self.weight]

    def forward(self, x):
        return F.linear(x, self.held[0], self.bias)


class Shifts(LinearHead):
    def forward(self, x):
        return super().forward(x) + super().forward(x).mean(dim=-2, keepdim=True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (AlwaysZ, r"in `eval` mode its loss is .*, but the cross entropy of its logits is"),
        (ForgetsTheCap, r"in `eval` mode its loss is .*, but the cross entropy of its logits is"),
        (ForgetsTheMask, "its loss with a mask is"),
        (Stops, "the gradient of bias by its loss is not that of the cross entropy"),
        (Untied, "saved and opened again, the model computes something else"),
        (Shifts, "its output for a position depends on other positions"),
        (lambda config: nn.Linear(config.n_embd, config.vocab_size), "it has no method `loss`"),
    ],
)
def test_a_wrong_head_is_told_what_it_does_wrong(build, message):
    with pytest.raises(ContractError, match=message):
        check_part(PartFactory("head_type", "odd", build=build, tensors=linear_head))


# Stacks.


def follows(contexts, x):
    """Return whether each position is in the text of the one before it, (B, T, 1)."""
    if contexts.documents is None:
        return torch.ones_like(x[:, :, :1])
    same = contexts.documents[:, 1:] == contexts.documents[:, :-1]
    return F.pad(same, (1, 0))[:, :, None].to(x)


class Smear(nn.Module):
    """Adds a share of the activations of the position before, if it is of the same text."""

    def __init__(self, config):
        super().__init__()
        self.share = nn.Parameter(torch.ones(config.n_embd))

    def forward(self, x, before, follows):
        return x + self.share * torch.cat([before, x[:, :-1]], dim=1) * follows


class Layer(nn.Module):
    """A block of mypt's, with a share of the first activations and of a vector per id."""

    def __init__(self, config, layer, block):
        super().__init__()
        self.share = nn.Parameter(torch.ones(config.n_embd))
        self.block = block
        self.values = nn.Embedding(config.vocab_size, config.n_embd) if layer % 2 else None

    def forward(self, x, first, idx, context, cache):
        x = x + self.share * first
        if self.values is not None:
            x = x + self.values(idx)
        return self.block(x, context, cache)


class Stack(nn.Module):
    """A stack with state of its own beside the caches of its layers, made of mypt's blocks."""

    def __init__(self, config, make_block):
        super().__init__()
        self.smear = Smear(config)
        self.layers = nn.ModuleList(
            Layer(config, layer, make_block(layer)) for layer in range(config.n_layer)
        )
        self.windows = [config.window_at(layer) for layer in range(config.n_layer)]

    def forward(self, x, idx, contexts, cache):
        before = torch.zeros_like(x[:, :1])
        if cache is not None:
            before = before if contexts.start == 0 else cache["last"]
            cache["last"] = x[:, -1:]
        x = first = self.smear(x, before, follows(contexts, x))
        for number, layer in enumerate(self.layers):
            kept = None if cache is None else cache["layers"][number]
            x = contexts.apply(layer, x, first, idx, contexts.of_layer(number), kept)
        return x

    def make_cache(self, capacity):
        layers = [make_layer_cache(capacity, window) for window in self.windows]
        return {"last": None, "layers": layers}


def stack_tensors(config, layer, block):
    if layer is None:
        return {"smear.share": (config.n_embd,)}
    values = {"values.weight": (config.vocab_size, config.n_embd)} if layer % 2 else {}
    blocks = {f"block.{name}": shape for name, shape in block.items()}
    return {"share": (config.n_embd,), **blocks, **values}


class OwnLayer(nn.Module):
    """Attention to the last positions, with weights that do not depend on them."""

    def __init__(self, config):
        super().__init__()
        self.mix = nn.Linear(config.n_embd, config.n_embd)

    def forward(self, x, before, follows):
        seen = torch.cat([before, x], dim=1)
        return x + self.mix(seen[:, :-1] * follows + x).tanh()


class OwnStack(nn.Module):
    """A stack without mypt's blocks: a recurrence over two positions, with its own short way."""

    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(OwnLayer(config) for _ in range(config.n_layer))

    def forward(self, x, idx, contexts, cache):
        for number, layer in enumerate(self.layers):
            before = torch.zeros_like(x[:, :1])
            if cache is not None and contexts.start:
                before = cache[number]
            if cache is not None:
                cache[number] = x[:, -1:]
            x = contexts.apply(layer, x, before, follows(contexts, x))
        return x

    def make_cache(self, capacity):
        return [None] * len(self.layers)

    def one_token(self, linear):
        mixes = [linear(layer.mix) for layer in self.layers]

        def step(x, ids, contexts, cache):
            for number, mix in enumerate(mixes):
                before, cache[number] = cache[number], x[:, None]
                x = x + mix(before[:, 0] + x).tanh()
            return x

        return step


def own_tensors(config, layer):
    width = config.n_embd
    return {} if layer is None else {"mix.weight": (width, width), "mix.bias": (width,)}


def stack(build, tensors=stack_tensors):
    return PartFactory("stack_type", "mine", build=build, tensors=tensors)


@pytest.mark.parametrize("changed", [{}, {"pos_encoding": "rope", "rope_pattern": "RN"}])
def test_nothing_is_wrong_with_a_stack_of_blocks_that_keeps_more(changed):
    check_part(stack(Stack), evolve(TINY, **changed))


def test_nothing_is_wrong_with_a_stack_of_its_own_layers():
    check_part(stack(OwnStack, own_tensors))


class ForgetsTheLast(Stack):
    """Without a cache it sees the position before, with one only within a pass."""

    def forward(self, x, idx, contexts, cache):
        if cache is not None:
            cache["last"] = torch.zeros_like(x[:, :1])
            return super().forward(x, idx, contexts, dict(cache))
        return super().forward(x, idx, contexts, None)


class NeverStartsOver(Stack):
    def forward(self, x, idx, contexts, cache):
        if cache is None or cache["last"] is None:
            return super().forward(x, idx, contexts, cache)
        x = x + cache["last"] * (contexts.start == 0)
        return super().forward(x, idx, contexts, cache)


class Rewound(dict):
    """Says that it can go back, where the last activations of then are gone."""

    def can_resume(self, start):
        return True


class GoesBack(Stack):
    def make_cache(self, capacity):
        return Rewound(super().make_cache(capacity))


class LooksFar(Stack):
    def forward(self, x, idx, contexts, cache):
        return super().forward(x, idx, contexts, cache) + x.mean(dim=1, keepdim=True)


class Uncached(Stack):
    make_cache = property()


class Misplaced(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.h = nn.ModuleList(OwnLayer(config) for _ in range(config.n_layer))

    layers = property(lambda self: self.h)
    make_cache = OwnStack.make_cache
    forward = OwnStack.forward


def misplaced_tensors(config):
    width = config.n_embd
    own = {"mix.weight": (width, width), "mix.bias": (width,)}
    return {f"h.{n}.{name}": shape for n in range(config.n_layer) for name, shape in own.items()}


@pytest.mark.parametrize(
    ("build", "tensors", "message"),
    [
        (GoesBack, stack_tensors, r"with a cache of .* that goes back to .*, the logits differ"),
        (ForgetsTheLast, stack_tensors, r"with a cache that is filled with .*, the logits differ"),
        (
            NeverStartsOver,
            stack_tensors,
            "a second time, the logits differ",
        ),
        (LooksFar, stack_tensors, "looks into the future"),
        (Uncached, stack_tensors, "it has no `make_cache`"),
        (Misplaced, misplaced_tensors, r"layer 0 holds blocks\.h\.0\.mix.weight, not"),
        (Stack, lambda config, block: block, "not those it declares"),
    ],
)
def test_a_wrong_stack_is_told_what_it_does_wrong(build, tensors, message):
    with pytest.raises(ContractError, match=message):
        check_part(stack(build, tensors))


class Unrecomputed(OwnStack):
    def forward(self, x, idx, contexts, cache):
        for number, layer in enumerate(self.layers):
            before = torch.zeros_like(x[:, :1])
            if cache is not None and contexts.start:
                before = cache[number]
            if cache is not None:
                cache[number] = x[:, -1:]
            x = layer(x, before, follows(contexts, x))
        return x


class Unhooked(OwnStack):
    def forward(self, x, idx, contexts, cache):
        for layer in self.layers:
            before = torch.zeros_like(x[:, :1])
            x = contexts.apply(layer.forward, x, before, follows(contexts, x))
        return x


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Unrecomputed, r"not all called through `contexts\.apply`"),
        (Unhooked, "not all called as modules"),
    ],
)
def test_a_stack_whose_layers_cannot_be_recomputed_or_compiled_is_refused(build, message):
    with pytest.raises(ContractError, match=message):
        check_part(stack(build, own_tensors))
