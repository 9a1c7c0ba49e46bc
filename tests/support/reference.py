"""Logits from the text of the specification alone (sections 8.1 and 9), sharing no code with mypt.

Everything is computed in float64, one text, one head and one layer at a time.
"""

import math

import torch

GATED = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh", "reglu": "relu"}
ACTIVATIONS = {
    "relu": lambda x: x.clamp(min=0),
    "relu2": lambda x: x.clamp(min=0) ** 2,
    "gelu": lambda x: x / 2 * (1 + torch.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x / (1 + torch.exp(-1.702 * x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": torch.tanh,
}


class Reference:
    """A model of the built-in parts, from its tensors and its config."""

    def __init__(self, tensors, config):
        self.tensors = {name: tensor.detach().double() for name, tensor in tensors.items()}
        self.config = config
        self.width = config.head_size or config.n_embd // config.n_head
        self.groups = config.n_kv_head or config.n_head
        self.scale = config.attn_scale or 1 / math.sqrt(self.width)
        self.eps = config.norm_eps or {"layernorm": 1e-5, "rmsnorm": 1e-6}[config.norm_type]

    def logits(self, idx):
        c = self.config
        x = c.embedding_scale * self.tensors["token_embedding_table.weight"][idx]
        if c.embedding_norm:
            x = self.norm("token_embedding_table.norm", x)
        if c.pos_encoding == "learned":
            x = x + self.tensors["position_embedding_table.weight"][: len(idx)]
        for i in range(c.n_layer):
            x = self.block(i, x)
        has_last = c.block_type != "post_norm" if c.final_norm is None else c.final_norm
        y = self.norm("ln_f", x) if has_last else x
        return self.cap(c.logit_scale * self.linear("lm_head", y), c.logit_soft_cap)

    def block(self, i, x):
        r, kind = self.config.residual_scale, self.config.block_type

        def sa(x):
            return self.attention(i, x)

        def fwd(x):
            return self.mlp(f"blocks.{i}.fwd", x)

        def ln(name, x):
            return self.norm(f"blocks.{i}.{name}", x)

        if kind == "pre_norm":
            x = x + r * sa(ln("ln1", x))
            return x + r * fwd(ln("ln2", x))
        if kind == "post_norm":
            x = ln("ln1", x + r * sa(x))
            return ln("ln2", x + r * fwd(x))
        if kind == "res_post_norm":
            x = x + r * ln("ln1", sa(x))
            return x + r * ln("ln2", fwd(x))
        if kind == "sandwich_norm":
            x = x + r * ln("ln1_post", sa(ln("ln1", x)))
            return x + r * ln("ln2_post", fwd(ln("ln2", x)))
        second = "ln1" if kind == "parallel" else "ln2"
        return x + r * sa(ln("ln1", x)) + r * fwd(ln(second, x))

    def cap(self, x, most):
        return x if most is None else most * torch.tanh(x / most)

    def shifted(self, name, y):
        return y + self.tensors.get(f"{name}.bias", 0)

    def linear(self, name, x):
        return self.shifted(name, x @ self.tensors[f"{name}.weight"].T)

    def norm(self, name, x):
        if self.config.norm_type == "layernorm":
            x = x - x.mean(-1, keepdim=True)
        x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps)
        if f"{name}.weight" in self.tensors:
            x = x * (self.tensors[f"{name}.weight"] + self.config.norm_offset)
        return self.shifted(name, x)

    def is_windowed(self, i):
        pattern = self.config.window_pattern or "S"
        return self.config.sliding_window is not None and pattern[i % len(pattern)] == "S"

    def attention(self, i, x):
        name, config = f"blocks.{i}.sa", self.config
        n, g, d = config.n_head, self.groups, self.width
        q, k, v = self.linear(f"{name}.qkv", x).split([n * d, g * d, g * d], dim=1)
        if config.qk_norm == "width":
            q, k = self.norm(f"{name}.q_norm", q), self.norm(f"{name}.k_norm", k)
        seen = torch.ones(len(x), len(x)).tril().bool()
        if self.is_windowed(i):
            seen &= torch.ones(len(x), len(x)).triu(1 - config.sliding_window).bool()
        out = []
        for j in range(n):
            at = j * g // n
            head, key, value = (m[:, a * d : (a + 1) * d] for m, a in ((q, j), (k, at), (v, at)))
            if config.qk_norm == "head":
                head, key = self.norm(f"{name}.q_norm", head), self.norm(f"{name}.k_norm", key)
            scores = self.turn(i, head) @ self.turn(i, key).T * self.scale
            scores = self.cap(scores, config.attn_soft_cap)
            out.append(torch.softmax(scores.masked_fill(~seen, -math.inf), -1) @ value)
        return self.linear(f"{name}.proj", torch.cat(out, 1))

    def turn(self, i, x):  # (T, width)
        pattern = self.config.rope_pattern or "R"
        if self.config.pos_encoding != "rope" or pattern[i % len(pattern)] == "N":
            return x
        size = self.config.rope_size or self.width
        frequencies, m, divisor = self.frequencies(i, size, len(x))
        angle = torch.arange(len(x), dtype=torch.float64)[:, None] / divisor * frequencies
        h, count = size // 2, len(frequencies)  # of an odd size one more than half of it
        first = x[:, :count] * angle.cos() - x[:, h : h + count] * angle.sin()
        angle = angle[:, :h]
        second = x[:, count:size] * angle.cos() + x[:, :h] * angle.sin()
        return torch.cat([m * first, m * second, x[:, size:]], 1)

    def frequencies(self, layer, width, length):
        """Give the angles per position, the factor m, and what positions are divided by."""
        config, own = self.config, self.config.rope_theta_sliding
        theta, scaling, divisor = config.rope_theta, config.rope_scaling, config.rope_scale
        if own is not None and self.is_windowed(layer):
            theta, scaling, divisor = own, None, 1.0
        i = torch.arange((width + 1) // 2, dtype=torch.float64)
        f = theta ** (-2 * i / width)
        if scaling is None:
            return f, 1.0, divisor
        s, n = scaling.factor, scaling.original_block_size
        if scaling.kind == "dynamic":
            if length > n:
                theta = theta * (s * length / n - (s - 1)) ** (width / (width - 2))
            return theta ** (-2 * i / width), 1.0, divisor
        if scaling.kind == "llama3":
            low, high = scaling.low_freq_factor, scaling.high_freq_factor
            g = ((n * f / (2 * math.pi) - low) / (high - low)).clamp(0, 1)
            return f * (g + (1 - g) / s), 1.0, divisor

        def bound(turns):
            return width * math.log(n / (2 * math.pi * turns)) / (2 * math.log(theta))

        low, high = bound(scaling.beta_fast), bound(scaling.beta_slow)
        if scaling.truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, width - 1)
        g = 1 - ((i - low) / (0.001 if low == high else high - low)).clamp(0, 1)
        m = scaling.attention_factor
        m = 0.1 * math.log(s) + 1 if m is None else m
        return f * (g + (1 - g) / s), m, divisor

    def mlp(self, name, x):
        kind = self.config.mlp_type
        if kind in GATED:
            gate = ACTIVATIONS[GATED[kind]](self.linear(f"{name}.w_gate", x))
            return self.linear(f"{name}.w_down", gate * self.linear(f"{name}.w_up", x))
        return self.linear(f"{name}.net.2", ACTIVATIONS[kind](self.linear(f"{name}.net.0", x)))
