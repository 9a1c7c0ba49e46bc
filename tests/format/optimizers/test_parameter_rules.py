import pytest

from mypt.format.optimizers.parameter_rules import decays, is_frozen, split_by_decay

SHAPES = {
    "token_embedding_table.weight": (5, 4),
    "blocks.0.ln1.weight": (4,),
    "blocks.0.sa.qkv.weight": (12, 4),
    "blocks.0.sa.qkv.bias": (12,),
}


@pytest.mark.parametrize(
    ("rule", "decayed"),
    [
        ("linear", ["blocks.0.sa.qkv.weight"]),
        ("matrices", ["token_embedding_table.weight", "blocks.0.sa.qkv.weight"]),
        ("all", list(SHAPES)),
    ],
)
def test_a_rule_decays_what_it_says_in_the_order_of_the_model(rule, decayed):
    first, second = split_by_decay(SHAPES, rule)
    assert first == decayed
    assert second == [name for name in SHAPES if name not in decayed]


def test_a_matrix_of_a_norm_is_no_linear_layer():
    assert not decays("blocks.0.LN1.weight", 2, "linear")


def test_what_is_frozen_goes_by_its_name():
    assert is_frozen("blocks.1.sa.qkv.weight", 2, False)
    assert not is_frozen("blocks.10.sa.qkv.weight", 2, True)
    assert is_frozen("token_embedding_table.weight", 0, True)
    assert is_frozen("position_embedding_table.weight", 0, True)
    assert not is_frozen("ln_f.weight", 9, True)
    assert is_frozen("blocks.layers.1.mix.weight", 2, False)
    assert not is_frozen("blocks.layers.2.mix.weight", 2, True)
    assert not is_frozen("blocks.gate", 9, True)
