import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.gguf.architectures import ARCHITECTURES
from mypt.format.readers.gguf.model_keys import ModelKeys

VALUES = {
    "context_length": 64,
    "embedding_length": 32,
    "block_count": 2,
    "feed_forward_length": 48,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
SHAPES = {"token_embd.weight": (128, 32), "output.weight": (128, 32)}


def convert(values=VALUES, shapes=SHAPES, name="llama"):
    return ARCHITECTURES[name].convert_config(ModelKeys(name, values, "model.gguf"), shapes)


def test_sizes_are_read_off_keys_and_the_embedding():
    found = convert()
    sizes = ("block_size", "vocab_size", "n_embd", "n_layer", "n_head", "mlp_hidden", "norm_eps")
    assert [found[name] for name in sizes] == [64, 128, 32, 2, 4, 48, 1e-5]
    assert (found["n_kv_head"], found["head_size"], found["tie_weights"]) == (None, None, False)


def test_groups_and_sizes_of_heads_that_follow_from_nothing_are_said():
    more = {"attention.head_count_kv": 2, "attention.key_length": 16, "attention.value_length": 16}
    found = convert(VALUES | more)
    assert (found["n_kv_head"], found["head_size"]) == (2, 16)


def test_biases_are_read_off_any_layer():
    for bias, field in {
        "attn_k": "qkv_bias",
        "attn_qkv": "qkv_bias",
        "attn_output": "proj_bias",
        "ffn_down": "mlp_bias",
    }.items():
        assert convert(shapes=SHAPES | {f"blk.1.{bias}.bias": (32,)})[field] is True
        assert convert()[field] is False


def test_a_model_without_an_output_layer_is_tied():
    assert convert(shapes={"token_embd.weight": (128, 32)})["tie_weights"] is True


def test_a_missing_key_is_named():
    for key in VALUES:
        with pytest.raises(FormatError, match=f"llama.{key}: is missing"):
            convert({name: value for name, value in VALUES.items() if name != key})


def test_no_key_is_known_in_two_ways():
    for architecture in ARCHITECTURES.values():
        keys = architecture.keys
        assert not keys.read & keys.ignored
        assert not keys.read & keys.ignored_at.keys()
        assert not keys.ignored & keys.ignored_at.keys()
