import pytest

from mypt.format.parameter_order import decays, optimizer_document, split_by_decay

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


def test_the_numbers_of_the_optimizer_go_through_both_groups():
    moments = {name: {"step": 1, "exp_avg": name, "exp_avg_sq": name} for name in SHAPES}
    del moments["blocks.0.ln1.weight"]  # frozen, it has none
    document = optimizer_document(moments, SHAPES, "linear", ({"lr": 1}, {"lr": 2}))
    assert document["param_groups"] == [{"lr": 1, "params": [0]}, {"lr": 2, "params": [1, 2, 3]}]
    assert {index: entry["exp_avg"] for index, entry in document["state"].items()} == {
        0: "blocks.0.sa.qkv.weight",
        1: "token_embedding_table.weight",
        3: "blocks.0.sa.qkv.bias",
    }
