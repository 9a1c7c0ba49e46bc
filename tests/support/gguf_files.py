"""GGUF files of the models of Hugging Face folders, by the conventions of llama.cpp's converter.

They are written by the `gguf` package, with its own table of names. What its converter does to the
values is done here: rows of queries and keys are paired for the architectures that rotate pairs,
norms of Gemma get their 1, and heads that are side by side are taken apart.
"""

import json

import gguf
import numpy as np
from attrs import field, frozen
from gguf import GGMLQuantizationType as Type

from mypt.format.tensors import safetensors
from tests.support.paths import FIXTURES

NEIGHBOURS = FIXTURES / "neighbours"
PAIRED = ("llama", "granite", "smollm3", "olmo")
SHIFTED = ("gemma", "gemma2", "gemma3")


@frozen
class Source:
    """A model of a Hugging Face folder: its config, its tensors, and what it computes."""

    config: dict
    tensors: dict
    prompt: list = field(factory=list)
    logits: np.ndarray | None = None

    @classmethod
    def read(cls, name):
        folder = NEIGHBOURS / name
        expected = json.loads((folder / "expected.json").read_text("utf-8"))
        held = safetensors.load(folder / "model.safetensors", name)
        prompt = expected["prompt_ids"]
        return cls(
            json.loads((folder / "config.json").read_text("utf-8")),
            {name: tensor.numpy() for name, tensor in held.items()},
            prompt,
            np.load(folder / expected["logits_file"]).reshape(len(prompt), -1),
        )

    def first(self, *keys, default=None):
        return next((self.config[key] for key in keys if self.config.get(key)), default)


def list_keys(source, arch):
    """Return the metadata of a model under the keys of its architecture."""
    heads = source.first("num_attention_heads", "n_head")
    width = source.first("hidden_size", "n_embd")
    rope = source.config.get("rope_parameters") or {}
    size = source.first("head_dim", default=width // heads)
    groups = source.first("num_key_value_heads", default=heads)
    groups = 1 if source.config.get("multi_query") else groups
    found = {
        "context_length": source.first("max_position_embeddings", "n_positions"),
        "embedding_length": width,
        "block_count": source.first("num_hidden_layers", "n_layer"),
        "feed_forward_length": source.first(
            "intermediate_size", "ffn_hidden_size", default=4 * width
        ),
        "attention.head_count": heads,
        "attention.head_count_kv": groups,
    }
    for key, names in {
        "attention.layer_norm_rms_epsilon": ("rms_norm_eps",),
        "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon"),
    }.items():
        if (value := source.first(*names)) is not None:
            found[key] = float(value)
    if source.config.get("head_dim"):
        found |= {"attention.key_length": size, "attention.value_length": size}
    if arch != "gpt2":
        found["rope.freq_base"] = float(rope.get("rope_theta", 10000.0))
        if not arch.startswith("gemma"):
            found["rope.dimension_count"] = int(size * rope.get("partial_rotary_factor", 1.0))
    if rope.get("rope_type") in ("linear", "yarn"):
        found |= {
            "rope.scaling.type": rope["rope_type"],
            "rope.scaling.factor": float(rope["factor"]),
        }
    if rope.get("rope_type") == "yarn":
        found["rope.scaling.original_context_length"] = rope["original_max_position_embeddings"]
    return found | list_own_keys(source, arch)


def list_own_keys(source, arch):
    config = source.config
    if arch == "gptneox":
        return {"use_parallel_residual": config["use_parallel_residual"]}
    if arch == "stablelm":
        return {"use_parallel_residual": config["use_parallel_residual"]}
    if arch == "phi3":
        original = config["original_max_position_embeddings"]
        window = config["sliding_window"] or 0
        return {
            "attention.sliding_window": window,
            "rope.scaling.original_context_length": original,
        }
    if arch == "gemma2":
        return {
            "attn_logit_softcapping": config["attn_logit_softcapping"],
            "final_logit_softcapping": config["final_logit_softcapping"],
            "attention.sliding_window": config["sliding_window"],
        }
    if arch == "gemma3":
        return {"attention.sliding_window": config["sliding_window"]}
    if arch == "granite":
        return {
            "attention.scale": config["attention_multiplier"],
            "embedding_scale": config["embedding_multiplier"],
            "residual_scale": config["residual_multiplier"],
            "logit_scale": config["logits_scaling"],
        }
    return {}


def convert_tensors(source, arch):
    """Return the tensors of a model by the names of GGUF."""
    layers = source.first("num_hidden_layers", "n_layer")
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == arch)
    names = gguf.get_tensor_name_map(kind, layers)
    found = {}
    for name, tensor in source.tensors.items():
        there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert there is not None, name
        found[there] = np.ascontiguousarray(convert_values(source, arch, name, tensor))
    rope = source.config.get("rope_parameters") or {}
    if rope.get("rope_type") == "llama3":
        found["rope_freqs.weight"] = compute_llama3(rope, source.config["head_dim"])
    return found


def convert_values(source, arch, name, tensor):
    heads = source.first("num_attention_heads", "n_head")
    groups = source.first("num_key_value_heads", default=heads)
    if arch in PAIRED and ".q_proj." in name:
        return pair_rows(tensor, heads)
    if arch in PAIRED and ".k_proj." in name:
        return pair_rows(tensor, groups)
    if arch in SHIFTED and name.endswith("norm.weight"):
        return tensor + 1
    if arch == "gptneox" and "query_key_value" in name:
        apart = tensor.reshape(heads, 3, -1, *tensor.shape[1:])
        return apart.swapaxes(0, 1).reshape(tensor.shape)
    if arch == "gpt2" and tensor.ndim == 2 and ".h." in name:
        return tensor.T
    return tensor


def pair_rows(tensor, heads):
    halves = tensor.reshape(heads, 2, -1, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def compute_llama3(rope, size):
    """Return the divisors of the frequencies, as the converter computes them."""
    frequencies = 1.0 / (rope["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float32) / size))
    original, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    found = []
    for frequency in frequencies:
        length = 2 * np.pi / frequency
        if length < original / high:
            found.append(1)
        elif length > original / low:
            found.append(factor)
        else:
            smooth = (original / length - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(found, dtype=np.float32)


def write_file(path, arch, keys, tensors, *, kind="F32", kinds=None, more=None, version=3):
    """Write a GGUF file.

    Args:
        path: The file.
        arch: Its architecture.
        keys: Values by key without the architecture.
        tensors: Arrays by name.
        kind: The type of its matrices; vectors are F32, as the converter has them.
        kinds: Types of some tensors, by name.
        more: Further metadata by whole key.
        version: Version of the format.
    """
    writer = gguf.GGUFWriter(path, arch)
    for key, value in {**{f"{arch}.{n}": v for n, v in keys.items()}, **(more or {})}.items():
        add_value(writer, key, value)
    for name, array in tensors.items():
        own = (kinds or {}).get(name, kind if array.ndim > 1 else "F32")
        writer.add_tensor(name, gguf.quantize(array, Type[own]), raw_dtype=Type[own])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if version != 3:
        data = bytearray(path.read_bytes())
        data[4:8] = version.to_bytes(4, "little")
        path.write_bytes(data)
    return path


def add_value(writer, key, value):
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def write_neighbour(path, name, arch, **options):
    """Write the GGUF file of a Hugging Face folder of the fixtures; return what it was made of."""
    source = Source.read(name)
    write_file(path, arch, list_keys(source, arch), convert_tensors(source, arch), **options)
    return source
