"""A part for each slot."""

import torch
from mypt.plugins import (
    LinearHead,
    Placement,
    TokenEmbedding,
    attend,
    attend_once,
    make_layer_cache,
    output_loss,
)
from torch import nn


class Waves(nn.Module):
    """Sines and cosines, added to the embedding, with a turn of the first two dimensions."""

    def __init__(self, config):
        super().__init__()
        self.width = config.n_embd
        self.register_buffer("places", torch.arange(0, config.n_embd, 2), persistent=False)

    def forward(self, positions, key_positions):
        angles = positions[:, None] / 10000 ** (self.places / self.width)
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
        turn = angles[:, 0]

        def rotate(x):
            cos, sin = turn.cos(), turn.sin()
            a, b = x[..., 0], x[..., 1]
            turned = torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1)
            return torch.cat([turned, x[..., 2:]], dim=-1)

        bias = -0.01 * (positions[:, None] - key_positions).abs().to(waves.dtype)
        return Placement(embedding=waves[:, : self.width], rotate=rotate, bias=bias[None])


class Single(nn.Module):
    """Heads that share one key and one value."""

    def __init__(self, config):
        super().__init__()
        self.n_head, self.width = config.n_head, config.head_width
        self.q = nn.Linear(config.n_embd, config.attention_width, bias=False)
        self.kv = nn.Linear(config.n_embd, 2 * config.head_width, bias=False)
        self.proj = nn.Linear(config.attention_width, config.n_embd, bias=False)

    def forward(self, x, context, cache):
        q = self.q(x).unflatten(-1, (self.n_head, self.width)).transpose(1, 2)
        k, v = self.kv(x)[:, None].chunk(2, dim=-1)
        if context.rotate is not None:
            q, k = context.rotate(q), context.rotate(k)
        if cache is not None:
            k, v = cache.extend(k, v, context.start)
        causal = context.mask is None and x.size(1) > 1
        mixed = nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=context.mask, is_causal=causal, enable_gqa=True
        )
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Leaky(nn.Module):
    """A leaky MLP, whose slope is a setting of the package; the first has a bias."""

    def __init__(self, config, layer):
        super().__init__()
        slope = config.plugins.get("acme-every", {}).get("slope", 0.01)
        self.up = nn.Linear(config.n_embd, config.mlp_width, bias=layer == 0)
        self.act = nn.LeakyReLU(slope)
        self.down = nn.Linear(config.mlp_width, config.n_embd, bias=False)

    def forward(self, x):
        return self.down(self.act(self.up(x)))

    def one_token(self, linear):
        up, down = linear(self.up), linear(self.down)
        return lambda x: down(self.act(up(x)))


class Scaled(nn.Module):
    """A norm with a scale of its own."""

    def __init__(self, config):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(config.n_embd))

    def forward(self, x):
        return self.scale * x / (x.abs().mean(dim=-1, keepdim=True) + 1e-5)

    def reset(self, generator):
        nn.init.constant_(self.scale, 0.5)


class Chained(nn.Module):
    """The feed-forward part reads what attention wrote."""

    def __init__(self, config):
        super().__init__()

    def forward(self, x, context, cache):
        mixed = self.sa(self.ln(x), context, cache)
        return x + mixed + self.fwd(mixed)


class Wide(TokenEmbedding):
    """mypt's own, with larger values at first."""

    def reset(self, generator):
        nn.init.normal_(self.weight, 0.0, 0.5, generator=generator)


class Steady(LinearHead):
    """mypt's own, with a z-loss in training."""

    def loss(self, x, targets, loss_mask, token_loss=None):
        return output_loss(
            x,
            self.weight,
            self.bias,
            targets,
            loss_mask,
            scale=self.scale,
            soft_cap=self.soft_cap,
            z_loss=1e-4 if self.training and token_loss is None else 0.0,
            token_loss=token_loss,
        )


class Layer(nn.Module):
    """A block of the config, which sees the first activations again."""

    def __init__(self, config, block):
        super().__init__()
        self.share = nn.Parameter(torch.ones(config.n_embd))
        self.block = block

    def forward(self, x, first, context, cache):
        return self.block(x + self.share * first, context, cache)


class Recalling(nn.Module):
    """Layers that see the first activations again."""

    def __init__(self, config, make_block, make_norm):
        super().__init__()
        numbers = range(config.n_layer)
        self.first = make_norm()
        self.windows = [config.window_at(layer) for layer in numbers]
        self.layers = nn.ModuleList(Layer(config, make_block(layer)) for layer in numbers)

    def forward(self, x, idx, contexts, cache):
        first = self.first(x)
        for number, layer in enumerate(self.layers):
            stored = None if cache is None else cache[number]
            x = contexts.apply(layer, x, first, contexts.of_layer(number), stored)
        return x

    def make_cache(self, capacity):
        return [make_layer_cache(capacity, window) for window in self.windows]


# Names that a part may be made with, beside those above.
TOOLS = (attend, attend_once)
