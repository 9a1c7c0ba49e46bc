"""Models of litgpt: their tensors, and their logits from the text of its `model.py` alone.

Compared with litgpt 0.5.13, 0.5.3, 0.4.13 and 0.4.0 themselves for the families of `CASES` and for
60 random configs; nothing of litgpt is imported here.
"""

import math

import torch
import torch.nn.functional as F
import yaml

import mypt

IDS = torch.tensor([[3, 60, 17, 17, 0, 8, 41, 2, 5, 5, 33, 19, 54, 1, 28, 9, 30, 12, 7, 63]])

SIZES = {
    "n_layer": 3,
    "n_embd": 32,
    "n_head": 4,
    "n_query_groups": 2,
    "head_size": 8,
    "block_size": 64,
    "vocab_size": 61,
    "padded_vocab_size": 64,
    "intermediate_size": 48,
    "norm_eps": 1e-5,
    "norm_class_name": "LayerNorm",
    "mlp_class_name": "GptNeoxMLP",
    "gelu_approximate": "none",
    "parallel_residual": True,
    "shared_attention_norm": False,
    "bias": True,
    "rotary_percentage": 0.25,
    "rope_base": 10000,
    "name": "tiny",
}
LLAMA = {
    "norm_class_name": "RMSNorm",
    "mlp_class_name": "LLaMAMLP",
    "parallel_residual": False,
    "bias": False,
    "rotary_percentage": 1.0,
}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
GEMMA = {
    **LLAMA,
    "name": "Gemma-tiny",
    "mlp_class_name": "GemmaMLP",
    "gelu_approximate": "tanh",
    "scale_embeddings": True,
    "head_size": 16,
}
SANDWICH = {"post_attention_norm": True, "post_mlp_norm": True}
WINDOWS = {"sliding_window_size": 7, "sliding_window_indices": [1, 0, 1, 0]}
CASES = {
    "pythia": {"n_query_groups": 4},
    "falcon_7b": {
        "n_query_groups": 1,
        "bias": False,
        "rotary_percentage": 1.0,
        "shared_attention_norm": True,
    },
    "falcon_40b": {"bias": False, "rotary_percentage": 1.0},
    "phi": {
        "n_query_groups": 4,
        "rotary_percentage": 0.5,
        "shared_attention_norm": True,
        "lm_head_bias": True,
        "gelu_approximate": "tanh",
    },
    "phi_2": {  # an odd number of rotated values
        "n_query_groups": 4,
        "rotary_percentage": 0.4,
        "shared_attention_norm": True,
        "lm_head_bias": True,
        "gelu_approximate": "tanh",
    },
    "phi_3": {**LLAMA, "n_query_groups": 4, "sliding_window_size": 7},
    "phi_4": {**LLAMA, "rotary_percentage": 0.75},
    "stablelm": {**LLAMA, "norm_class_name": "LayerNorm", "rotary_percentage": 0.25},
    "llama": LLAMA,
    "llama_32k": {**LLAMA, "rope_condense_ratio": 8},
    "llama_3_1": {**LLAMA, "rope_adjustments": {**LLAMA3, "original_max_seq_len": 16}},
    "linear": {**LLAMA, "rope_adjustments": {"factor": 4.0}},
    "qwen_2_5": {**LLAMA, "attn_bias": True},
    "qwen_3": {**LLAMA, "norm_qk": True, "head_size": 16},
    "olmo": {**LLAMA, "name": "OLMo-tiny", "norm_class_name": "LayerNorm"},
    "olmo_2": {
        **LLAMA,
        **SANDWICH,
        "norm_1": False,
        "norm_2": False,
        "name": "OLMo-2-tiny",
        "norm_qk": True,
        "norm_qk_type": "olmo2",
    },
    "gemma": {**GEMMA, "n_query_groups": 1},
    "gemma_2": {
        **GEMMA,
        **SANDWICH,
        **WINDOWS,
        "attention_scores_scalar": 144,
        "attention_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    "gemma_3": {
        **GEMMA,
        **SANDWICH,
        **WINDOWS,
        "norm_qk": True,
        "attention_scores_scalar": 256,
        "rope_base": 1000000,
        "rope_local_base_freq": 10000,
        "rope_indices": [1, 0, 1],
        "rope_adjustments": {"factor": 8.0},
    },
    "local": {**LLAMA, "rope_local_base_freq": 100, "rope_condense_ratio": 2},
    "interleaved": {**LLAMA, "rope_interleave": True, "rotary_percentage": 0.5, "head_size": 12},
    "interleaved_norms": {
        **LLAMA,
        "rope_interleave": True,
        "norm_qk": True,
        "norm_qk_type": "olmo2",
        "rotary_percentage": 0.5,
    },
    "geglu": {**LLAMA, "mlp_class_name": "GemmaMLP"},
    "not_rotated": {**LLAMA, "rotary_percentage": 0.0},
}


def make_tensors(config, seed=0):
    """Give random tensors of a model, in litgpt's order."""
    c = SIZES | config
    torch.manual_seed(seed)
    width, rows = c["n_embd"], c["padded_vocab_size"]
    found = {
        **make_linear("lm_head", rows, width, c.get("lm_head_bias")),
        **make_linear("transformer.wte", rows, width, False),
    }
    for layer in range(c["n_layer"]):
        found |= make_block(c, f"transformer.h.{layer}")
    return found | make_norm(c, "transformer.ln_f", width)


def make_linear(name, rows, columns, bias):
    weight = {f"{name}.weight": torch.randn(rows, columns) * 0.2}
    return weight | ({f"{name}.bias": torch.randn(rows) * 0.2} if bias else {})


def make_norm(c, name, size):
    if c["norm_class_name"] == "LayerNorm" and "OLMo" in c["name"]:
        return {}
    found = {f"{name}.weight": torch.randn(size) * 0.2 + ("Gemma" not in c["name"])}
    has_bias = c["norm_class_name"] == "LayerNorm"
    return found | ({f"{name}.bias": torch.randn(size) * 0.2} if has_bias else {})


def make_block(c, at):
    width, names = c["n_embd"], {"GptNeoxMLP": ("fc",)}.get(c["mlp_class_name"], ("fc_1", "fc_2"))
    has_second = c.get("norm_2", True) and not c["shared_attention_norm"]
    parts = [
        make_norm(c, f"{at}.norm_1", width) if c.get("norm_1", True) else {},
        make_attention(c, f"{at}.attn"),
        make_norm(c, f"{at}.post_attention_norm", width) if c.get("post_attention_norm") else {},
        make_norm(c, f"{at}.norm_2", width) if has_second else {},
        *(make_linear(f"{at}.mlp.{n}", c["intermediate_size"], width, c["bias"]) for n in names),
        make_linear(f"{at}.mlp.proj", width, c["intermediate_size"], c["bias"]),
        make_norm(c, f"{at}.post_mlp_norm", width) if c.get("post_mlp_norm") else {},
    ]
    return {name: tensor for part in parts for name, tensor in part.items()}


def make_attention(c, at):
    heads, groups, size = c["n_head"], c["n_query_groups"], c["head_size"]
    has_bias = c["bias"] or c.get("attn_bias")
    found = {
        **make_linear(f"{at}.qkv", (heads + 2 * groups) * size, c["n_embd"], has_bias),
        **make_linear(f"{at}.proj", c["n_embd"], heads * size, c["bias"]),
    }
    if c.get("norm_qk"):
        whole = c.get("norm_qk_type") == "olmo2"
        found |= make_norm(c, f"{at}.norm_q", size * (heads if whole else 1))
        found |= make_norm(c, f"{at}.norm_k", size * (groups if whole else 1))
    return found


def compute_logits(p, config, idx):
    """Give the logits of a text."""
    return _Reference(p, SIZES | config).logits(idx)


class _Reference:
    def __init__(self, p, c):
        self.p, self.c = p, c

    def logits(self, idx):
        x = self.p["transformer.wte.weight"][idx]
        if self.c.get("scale_embeddings"):
            x = x * self.c["n_embd"] ** 0.5
        for layer in range(self.c["n_layer"]):
            x = self.block(x, layer, f"transformer.h.{layer}")
        out = self.linear(self.norm(x, "transformer.ln_f"), "lm_head")
        cap = self.c.get("final_logit_softcapping")
        return out if cap is None else torch.tanh(out / cap) * cap

    def block(self, x, layer, at):
        c = self.c
        first = self.norm(x, f"{at}.norm_1") if c.get("norm_1", True) else x
        mixed = self.attention(first, layer, f"{at}.attn")
        if c.get("post_attention_norm"):
            mixed = self.norm(mixed, f"{at}.post_attention_norm")
        if c["parallel_residual"]:
            second = first if c["shared_attention_norm"] else self.norm(x, f"{at}.norm_2")
            x = x + mixed
        else:
            x = x + mixed
            second = self.norm(x, f"{at}.norm_2") if c.get("norm_2", True) else x
        out = self.mlp(second, f"{at}.mlp")
        return x + (self.norm(out, f"{at}.post_mlp_norm") if c.get("post_mlp_norm") else out)

    def attention(self, x, layer, at):
        c, length = self.c, len(x)
        sizes = [c["n_head"], c["n_query_groups"], c["n_query_groups"]]
        parts = self.linear(x, f"{at}.qkv").split([n * c["head_size"] for n in sizes], -1)
        whole = c.get("norm_qk_type") == "olmo2"
        q, k, v = (
            self.heads(part, n, f"{at}.norm_{name}" if c.get("norm_qk") else None, whole)
            if name != "v"
            else part.unflatten(-1, (n, -1)).transpose(0, 1)
            for name, part, n in zip("qkv", parts, sizes, strict=True)
        )
        q, k = self.rotate(q, layer), self.rotate(k, layer)
        k, v = (t.repeat_interleave(sizes[0] // sizes[1], 0) for t in (k, v))
        scores = q @ k.mT / math.sqrt(c.get("attention_scores_scalar") or c["head_size"])
        cap = c.get("attention_logit_softcapping")
        scores = scores if cap is None else torch.tanh(scores / cap) * cap
        places = torch.arange(length)
        seen = places[None] <= places[:, None]
        if c.get("sliding_window_size") and c.get("sliding_window_indices", [1] * 9)[layer]:
            seen &= places[None] > places[:, None] - c["sliding_window_size"]
        mixed = scores.masked_fill(~seen, -math.inf).softmax(-1) @ v
        return self.linear(mixed.transpose(0, 1).flatten(1), f"{at}.proj")

    def heads(self, part, number, name, whole):
        if name is not None and whole:
            part = self.norm(part, name)
        part = part.unflatten(-1, (number, -1)).transpose(0, 1)
        return part if name is None or whole else self.norm(part, name)

    def rotate(self, x, layer):
        c = self.c
        n = int(c["rotary_percentage"] * c["head_size"])
        turned, rest = x[..., :n], x[..., n:]
        exponents = torch.arange(0, n, 2).float() / n
        theta = self.scale(1.0 / c["rope_base"] ** exponents)
        local = c.get("rope_local_base_freq")
        if local is not None and c.get("rope_indices", [1] * 9)[layer]:
            theta = 1.0 / local**exponents
        places = torch.arange(x.size(1)).float() / c.get("rope_condense_ratio", 1)
        angles = torch.outer(places, theta).repeat(1, 2)[:, :n]
        if c.get("rope_interleave"):
            turned = torch.cat([turned[..., ::2], turned[..., 1::2]], -1)
        first, second = turned[..., : n // 2], turned[..., n // 2 :]
        swapped = torch.cat([-second, first], -1)
        return torch.cat([turned * angles.cos() + swapped * angles.sin(), rest], -1)

    def scale(self, theta):
        rule = self.c.get("rope_adjustments")
        if rule is None:
            return theta
        if "low_freq_factor" not in rule:
            return theta / rule["factor"]
        low, high = rule["low_freq_factor"], rule["high_freq_factor"]
        turns = rule["original_max_seq_len"] * theta / (2 * math.pi)
        kept = ((turns - low) / (high - low)).clamp(0, 1)
        return (1 - kept) * theta / rule["factor"] + kept * theta

    def mlp(self, x, at):
        kind, form = self.c["mlp_class_name"], self.c["gelu_approximate"]
        if kind == "GptNeoxMLP":
            return self.linear(F.gelu(self.linear(x, f"{at}.fc"), approximate=form), f"{at}.proj")
        gate, up = self.linear(x, f"{at}.fc_1"), self.linear(x, f"{at}.fc_2")
        gate = F.silu(gate) if kind == "LLaMAMLP" else F.gelu(gate, approximate=form)
        return self.linear(gate * up, f"{at}.proj")

    def linear(self, x, name):
        return F.linear(x, self.p[f"{name}.weight"], self.p.get(f"{name}.bias"))

    def norm(self, x, name):
        weight, bias = self.p.get(f"{name}.weight"), self.p.get(f"{name}.bias")
        if self.c["norm_class_name"] == "LayerNorm":
            return F.layer_norm(x, x.shape[-1:], weight, bias, self.c["norm_eps"])
        scale = weight + 1 if "Gemma" in self.c["name"] else weight
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.c["norm_eps"]) * scale


def check_logits(folder, tensors, config, plugins):
    """Compare the model that is read from a folder with the reference."""
    with torch.no_grad():
        found = mypt.load(folder, plugins=plugins)(IDS)[0]
    torch.testing.assert_close(found, compute_logits(tensors, config, IDS[0]), atol=1e-5, rtol=0)


def write_folder(folder, config, tensors, **beside):
    """Write what litgpt writes; with something beside the model, as a training run does."""
    folder.mkdir(exist_ok=True)
    torch.save({"model": tensors, **beside} if beside else tensors, folder / "lit_model.pth")
    (folder / "model_config.yaml").write_text(yaml.dump(SIZES | config), "utf-8")
    return folder
