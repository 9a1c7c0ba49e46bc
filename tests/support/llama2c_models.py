"""Models of llama2.c: its files, and its logits from the text of its `model.py` alone.

The files are equal to those that its `export.py` writes; nothing of llama2.c is imported here.
"""

import math
import struct

import torch
import torch.nn.functional as F

import mypt

ARGS = {
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 61,
    "multiple_of": 8,
    "max_seq_len": 24,
    "dropout": 0.0,
}
HIDDEN = 88  # 2/3 of 4 * 32, rounded up to a multiple of 8
IDS = torch.tensor([[1, 60, 17, 17, 0, 8, 41, 2, 5, 5, 33, 19, 54, 1, 28, 9, 30, 12, 7, 59]])
BARE = {"tokenizer": "none"}
MATRICES = (
    *("attention.wq", "attention.wk", "attention.wv", "attention.wo"),
    *("feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
)


def make_tensors(tied=True, seed=0, **changes):
    """Give random tensors of a model, in llama2.c's order."""
    args = ARGS | changes
    torch.manual_seed(seed)
    width, hidden = args["dim"], changes.get("hidden_dim", HIDDEN)
    kv = width // args["n_heads"] * (args["n_kv_heads"] or args["n_heads"])
    shapes = dict(
        zip(
            MATRICES,
            [
                *((width, width), (kv, width), (kv, width), (width, width)),
                *((hidden, width), (width, hidden), (hidden, width)),
            ],
            strict=True,
        )
    )
    found = {"tok_embeddings.weight": torch.randn(args["vocab_size"], width) * 0.2}
    for layer in range(args["n_layers"]):
        for name, shape in shapes.items():
            found[f"layers.{layer}.{name}.weight"] = torch.randn(shape) * 0.2
        for name in ("attention_norm", "ffn_norm"):
            found[f"layers.{layer}.{name}.weight"] = torch.randn(width) * 0.2 + 1
    found["norm.weight"] = torch.randn(width) * 0.2 + 1
    first = found["tok_embeddings.weight"]
    return found | {"output.weight": first if tied else torch.randn(first.shape) * 0.2}


def compute_logits(p, idx, **changes):
    """Give the logits of a text."""
    args = ARGS | changes
    heads, groups = args["n_heads"], args["n_kv_heads"] or args["n_heads"]

    def norm(x, name):
        eps = args.get("norm_eps", 1e-5)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * p[f"{name}.weight"]

    def split(x, number):
        return x.unflatten(-1, (number, -1)).transpose(0, 1)

    x = p["tok_embeddings.weight"][idx]
    for layer in range(args["n_layers"]):
        at = f"layers.{layer}"
        w = {name: p[f"{at}.{name}.weight"] for name in MATRICES}
        normed = norm(x, f"{at}.attention_norm")
        q = rotate(split(normed @ w["attention.wq"].T, heads))
        k = rotate(split(normed @ w["attention.wk"].T, groups))
        v = split(normed @ w["attention.wv"].T, groups)
        k, v = (t.repeat_interleave(heads // groups, 0) for t in (k, v))
        hidden = torch.ones(len(idx), len(idx)).triu(1).bool()
        scores = (q @ k.mT / math.sqrt(q.size(-1))).masked_fill(hidden, -math.inf)
        x = x + (scores.softmax(-1) @ v).transpose(0, 1).flatten(1) @ w["attention.wo"].T
        normed = norm(x, f"{at}.ffn_norm")
        gate = F.silu(normed @ w["feed_forward.w1"].T)
        x = x + (gate * (normed @ w["feed_forward.w3"].T)) @ w["feed_forward.w2"].T
    return norm(x, "norm") @ p["output.weight"].T


def rotate(x):
    """Rotate pairs of neighbours, (heads, T, width)."""
    width = x.size(-1)
    angles = torch.outer(
        torch.arange(x.size(1)).float(), 1e4 ** -(torch.arange(0, width, 2) / width)
    )
    a, b = x[..., ::2], x[..., 1::2]
    turned = [a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()]
    return torch.stack(turned, -1).flatten(-2)


def write_ckpt(path, tensors, changes=None, **beside):
    """Write what its `train.py` writes."""
    args = {name: value for name, value in (ARGS | (changes or {})).items() if value is not ...}
    torch.save({"model": tensors, "model_args": args, **beside}, path)
    return path


def write_bin(path, tensors, version, group=0, shared=True, **changes):
    """Write what its `export.py` writes."""
    args = ARGS | changes
    norms, layers = ("attention_norm", "ffn_norm"), range(args["n_layers"])

    def every(*names):
        return [f"layers.{layer}.{name}.weight" for name in names for layer in layers]

    start, head = ["tok_embeddings.weight"], [] if shared else ["output.weight"]
    if version == 0:
        order = [*start, *every(norms[0], *MATRICES[:4], norms[1], *MATRICES[4:]), "norm.weight"]
    else:
        order = [*every(*norms), "norm.weight", *start, *every(*MATRICES), *head]
    with path.open("wb") as stream:
        stream.write(
            make_header(
                args, len(tensors["layers.0.feed_forward.w1.weight"]), version, group, shared
            )
        )
        for name in order:
            write_tensor(stream, tensors[name], group)
        if version == 0:
            width = args["dim"] // args["n_heads"]
            steps = 1.0 / 1e4 ** (torch.arange(0, width, 2).float() / width)
            angles = torch.outer(torch.arange(args["max_seq_len"]).float(), steps)
            for table in (angles.cos(), angles.sin(), *(tensors[name] for name in head)):
                write_tensor(stream, table, 0)
    return path


def make_header(args, hidden, version, group, shared):
    sign = -1 if version == 0 and not shared else 1
    groups = args["n_kv_heads"] or args["n_heads"]
    sizes = struct.pack(
        "<7i",
        *(args["dim"], hidden, args["n_layers"], args["n_heads"], groups),
        *(sign * args["vocab_size"], args["max_seq_len"]),
    )
    if version == 0:
        return sizes
    flags = struct.pack("<Bi", shared, group) if version == 2 else struct.pack("<B", shared)
    return (struct.pack("<Ii", 0x616B3432, version) + sizes + flags).ljust(256, b"\0")


def write_tensor(stream, tensor, group):
    if group and tensor.dim() == 2:
        values, scales = quantize(tensor, group)
        stream.write(values.numpy().tobytes() + scales.numpy().tobytes())
    else:
        stream.write(tensor.contiguous().numpy().astype("<f4").tobytes())


def quantize(tensor, group):
    """Give the 8-bit values and their scales, as its `quantize_q80`."""
    rows = tensor.reshape(-1, group)
    scales = rows.abs().amax(1) / 127.0
    return torch.round(rows / scales[:, None]).to(torch.int8), scales


def dequantize_all(tensors, group):
    """Give the tensors that are left of them after they were quantized."""
    found = {}
    for name, tensor in tensors.items():
        if tensor.dim() == 2:
            values, scales = quantize(tensor, group)
            tensor = (values.float() * scales[:, None]).view(tensor.shape)
        found[name] = tensor
    return found


def open_logits(path, plugins, options=BARE):
    """Give the logits of the model that is read from a file."""
    with torch.no_grad():
        return mypt.load(path, plugins=plugins, options=options)(IDS)[0]
