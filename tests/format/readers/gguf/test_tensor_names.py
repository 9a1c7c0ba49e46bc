import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.readers.gguf.tensor_names import TensorOrder, has_bias, has_fused_qkv, make_lookup
from mypt.format.readers.shared.tensor_source import split_tensors, take_tensor

SIZES = {"vocab_size": 8, "n_embd": 16, "n_head": 4, "n_kv_head": 2, "n_layer": 2, "mlp_hidden": 24}


def write_and_read(config, order):
    shapes = expected_tensors(config, BUILT_IN)
    held = {name: torch.rand(shape) for name, shape in shapes.items()}
    find_source = make_lookup(config, order)
    sources = {name: find_source(name) for name in held}
    written = split_tensors(sources, held)
    for name, source in sources.items():
        assert torch.equal(take_tensor(source, written), held[name]), name
    return held, written


def test_every_order_is_undone():
    config = GPTConfig(**SIZES, pos_encoding="rope", mlp_type="swiglu", norm_type="rmsnorm")
    for order in (
        TensorOrder(),
        TensorOrder(pairs_rows=True),
        TensorOrder(pairs_rows=True, fuses_qkv=True),
        TensorOrder(fuses_qkv=True, fuses_gate=True),
    ):
        _, written = write_and_read(config, order)
        assert has_fused_qkv(written) == order.fuses_qkv
        assert not has_bias(written, ["attn_q", "attn_qkv"])


def test_rows_are_paired_head_by_head():
    config = GPTConfig(**SIZES, pos_encoding="rope", rope_size=2, bias=True)
    held, written = write_and_read(config, TensorOrder(pairs_rows=True))
    rows = held["blocks.0.sa.qkv.bias"]
    assert has_bias(written, ["attn_q"])
    assert torch.equal(written["blk.0.attn_q.bias"], rows[:16])  # 2 of 4 values: one pair
    whole = GPTConfig(**SIZES, pos_encoding="rope", bias=True)
    held, written = write_and_read(whole, TensorOrder(pairs_rows=True))
    rows = held["blocks.0.sa.qkv.bias"]
    assert torch.equal(written["blk.0.attn_q.bias"][:4], rows[[0, 2, 1, 3]])
    assert torch.equal(written["blk.0.attn_k.bias"][:4], rows[[16, 18, 17, 19]])
    assert torch.equal(written["blk.0.attn_v.bias"], rows[24:])
