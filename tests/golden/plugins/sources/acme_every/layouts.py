"""Names and shapes of the tensors of the parts; needs no torch."""


def single(config):
    return {
        "q.weight": (config.attention_width, config.n_embd),
        "kv.weight": (2 * config.head_width, config.n_embd),
        "proj.weight": (config.n_embd, config.attention_width),
    }


def leaky(config, layer):
    """Return those of one layer: the first has a bias."""
    tensors = {"up.weight": (config.mlp_width, config.n_embd)}
    if layer == 0:
        tensors["up.bias"] = (config.mlp_width,)
    return {**tensors, "down.weight": (config.n_embd, config.mlp_width)}


def scaled(config):
    return {"scale": (config.n_embd,)}


def recalling(config, layer, block, norm):
    """Return those of a layer; for None those before the layers."""
    if layer is None:
        return {f"first.{name}": shape for name, shape in norm.items()}
    return {"share": (config.n_embd,)} | {f"block.{name}": shape for name, shape in block.items()}
