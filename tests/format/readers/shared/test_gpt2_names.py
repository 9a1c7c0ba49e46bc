import pytest

from mypt.format.readers.shared.gpt2_names import count_layers, drop_masks, make_gpt2_lookup


@pytest.mark.parametrize(
    ("ours", "theirs", "is_transposed"),
    [
        ("token_embedding_table.weight", "transformer.wte.weight", False),
        ("lm_head.weight", "lm_head.weight", False),
        ("blocks.11.sa.qkv.weight", "transformer.h.11.attn.c_attn.weight", True),
        ("blocks.11.sa.qkv.bias", "transformer.h.11.attn.c_attn.bias", False),
        ("blocks.0.ln2.weight", "transformer.h.0.ln_2.weight", False),
        ("blocks.0.fwd.net.2.weight", "transformer.h.0.mlp.c_proj.weight", True),
    ],
)
def test_a_tensor_is_found_under_the_name_that_it_has_in_gpt2(ours, theirs, is_transposed):
    source = make_gpt2_lookup("transformer.", "lm_head.weight", transposed=True)(ours)
    assert (source.names, source.transposed) == ((theirs,), is_transposed)


def test_masks_are_dropped_and_biases_are_not():
    names = ("h.0.attn.bias", "transformer.h.3.attn.masked_bias", "h.0.attn.c_attn.bias")
    assert list(drop_masks(dict.fromkeys(names))) == ["h.0.attn.c_attn.bias"]


@pytest.mark.parametrize(
    ("names", "count"),
    [([], 0), (["h.0.ln_1.bias"], 1), (["h.9.a", "model.h.11.b"], 12), (["h.01.a", "h.x.a"], 0)],
)
def test_blocks_are_counted_by_the_highest_index(names, count):
    assert count_layers(dict.fromkeys(names)) == count
