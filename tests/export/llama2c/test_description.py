import pytest

from mypt.export.llama2c.description import explain
from mypt.format.documents.config import GPTConfig

LLAMA = {
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "norm_eps": 1e-5,
    "head_bias": False,
}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pos_encoding": "learned"}, "pos_encoding"),
        ({"mlp_type": "geglu"}, "mlp_type"),
        ({"norm_type": "layernorm", "norm_bias": False}, "norm_type"),
        ({"norm_eps": 1e-6}, "norm_eps"),
        ({"rope_theta": 5e5}, "rope_theta"),
        ({"rope_scale": 2.0}, "rope_scale"),
        ({"rope_size": 32}, "rope_size"),
        ({"rope_pattern": "RN"}, "rope_pattern"),
        ({"qk_norm": "head"}, "qk_norm"),
        ({"qkv_bias": True}, "qkv_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"head_bias": True}, "head_bias"),
        ({"sliding_window": 5}, "sliding_window"),
        ({"block_type": "res_post_norm"}, "block_type"),
        ({"head_size": 32}, "head_size"),
        ({"norm_offset": 1.0}, "norm_offset"),
        ({"embedding_scale": 2.0}, "embedding_scale"),
        ({"logit_soft_cap": 2.0}, "logit_soft_cap"),
    ],
)
def test_what_llama2c_cannot_compute_is_named(changes, field):
    (problem, *_) = explain(GPTConfig(**{**LLAMA, **changes}))
    assert problem.where == f"/{field}"
    assert "llama2.c" in problem.what


def test_what_it_can_compute_is_not():
    assert explain(GPTConfig(**LLAMA)) == []
    assert explain(GPTConfig(**LLAMA, n_kv_head=2, tie_weights=True, attn_scale=0.3)) == []
