import pytest

from mypt.export.litgpt.description import explain
from mypt.format.documents.config import GPTConfig

ROPE = {"pos_encoding": "rope", "head_bias": False}
LLAMA = {**ROPE, "norm_type": "rmsnorm", "mlp_type": "swiglu"}
WINDOWS = {"sliding_window": 5, "window_pattern": "SF", "rope_theta_sliding": 9.0}
LLAMA3 = {
    "kind": "llama3",
    "factor": 4.0,
    "original_block_size": 8,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ["pos_encoding: is learned; litgpt has rope; "]),
        ({**ROPE, "mlp_type": "relu"}, ["mlp_type: is relu; litgpt has gelu"]),
        ({**ROPE, "mlp_type": "reglu"}, ["mlp_type: is reglu; litgpt has gelu"]),
        ({**LLAMA, "norm_offset": 0.5}, ["norm_offset: is 0.5; litgpt has 1.0"]),
        ({**LLAMA, "norm_weight": False}, ["norm_weight: is false; litgpt has true"]),
        ({**LLAMA, "norm_bias": True}, ["norm_bias: is true; litgpt has false"]),
        ({**ROPE, "final_norm": False}, ["final_norm: is false; litgpt has true"]),
        ({**ROPE, "residual_scale": 0.5}, ["residual_scale: is 0.5"]),
        ({**ROPE, "logit_scale": 0.5}, ["logit_scale: is 0.5"]),
        ({**ROPE, "embedding_scale": 2.0}, ["embedding_scale: is 2.0"]),
        ({**ROPE, "embedding_norm": True}, ["embedding_norm: is true"]),
        ({**ROPE, "rope_pattern": "RN"}, ["rope_pattern: is RN"]),
        ({**ROPE, "block_type": "post_norm"}, ["block_type: is post_norm", "final_norm: is false"]),
        ({**ROPE, "rope_scaling": {**LLAMA3, "kind": "dynamic"}}, ["rope_scaling: is dynamic"]),
        ({**ROPE, "attention_type": "mine"}, ["attention_type: is mine; litgpt has causal"]),
        (
            {**ROPE, **WINDOWS, "rope_scaling": LLAMA3, "rope_scale": 2.0},
            [": describes a model that litgpt cannot have: config.json#/rope_indices"],
        ),
    ],
)
def test_what_litgpt_cannot_compute_is_named(fields, said):
    found = [str(problem) for problem in explain(GPTConfig(**fields, n_layer=3))]
    assert len(found) == len(said)
    for line, wanted in zip(found, said, strict=True):
        assert line.startswith(f"config.json#/{wanted}".replace("#/:", ":"))


def test_what_it_can_compute_is_not():
    assert explain(GPTConfig(**LLAMA, bias=True)) == []
    assert explain(GPTConfig(**LLAMA, **WINDOWS, rope_scale=2.0)) == []
