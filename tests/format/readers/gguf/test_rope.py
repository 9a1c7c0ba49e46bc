import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.readers.gguf.model_keys import ModelKeys
from mypt.format.readers.gguf.rope import ROPE_KEYS, convert_rope, describe_rope

YARN = {"kind": "yarn", "factor": 4.0, "original_block_size": 64}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"rope_size": 4},
        {"rope_theta": 5e5},
        {"rope_scale": 4.0},
        {"rope_scaling": YARN},
        {"rope_scaling": YARN | {"beta_fast": 16.0, "beta_slow": 2.0}},
        {"rope_scaling": YARN | {"attention_factor": 1.25}},
    ],
)
def test_what_is_described_is_read_back(fields):
    config = GPTConfig(pos_encoding="rope", n_embd=64, n_head=4, **fields)
    described = describe_rope(config)
    assert described.keys() <= ROPE_KEYS
    found = convert_rope(ModelKeys("llama", described, ""), config.head_width)
    back = GPTConfig(n_embd=64, n_head=4, **{n: v for n, v in found.items() if v is not None})
    assert (back.rope_theta, back.rope_scale) == (config.rope_theta, config.rope_scale)
    assert back.rotated_width == config.rotated_width
    one, other = back.rope_scaling, config.rope_scaling
    assert (one is None) == (other is None)
    if one is not None:
        assert (one.kind, one.factor, one.beta_fast, one.beta_slow) == (
            *(other.kind, other.factor),
            *(other.beta_fast, other.beta_slow),
        )
        assert one.attention_factor == pytest.approx(other.attention_factor)
