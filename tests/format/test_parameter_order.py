import pytest

from mypt.format.parameter_order import (
    Group,
    cut_groups,
    decays,
    follows_rule,
    is_frozen,
    optimizer_document,
    own_settings,
    split_by_decay,
)

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
    halves = split_by_decay(SHAPES, "linear")
    document = optimizer_document(moments, zip(halves, ({"lr": 1}, {"lr": 2}), strict=True))
    assert document["param_groups"] == [{"lr": 1, "params": [0]}, {"lr": 2, "params": [1, 2, 3]}]
    assert {index: entry["exp_avg"] for index, entry in document["state"].items()} == {
        0: "blocks.0.sa.qkv.weight",
        1: "token_embedding_table.weight",
        3: "blocks.0.sa.qkv.bias",
    }


EMBEDDING, NORM, QKV, BIAS = SHAPES


def test_groups_are_cut_where_parameters_have_settings_of_their_own():
    assert cut_groups(SHAPES, "all", {}) == [Group([*SHAPES], True, {}), Group([], False, {})]
    slow = {"initial_lr": 0.1}
    groups = cut_groups(SHAPES, "linear", {NORM: slow, BIAS: slow})
    assert groups == [
        Group([QKV], True, {}),
        Group([EMBEDDING], False, {}),
        Group([NORM, BIAS], False, slow),
    ]
    document = optimizer_document({}, ((group.names, group.own) for group in groups))
    listed = document["param_groups"]
    assert [group["params"] for group in listed] == [[0], [1], [2, 3]]
    assert own_settings(listed, [QKV, EMBEDDING, NORM, BIAS]) == {
        QKV: {},
        EMBEDDING: {},
        NORM: slow,
        BIAS: slow,
    }
    assert [rule for rule in ("linear", "matrices", "all") if follows_rule(listed, SHAPES, rule)]


@pytest.mark.parametrize(
    ("groups", "rules"),
    [
        ([[0], [1, 2, 3]], ["linear"]),
        ([[0, 1], [2, 3]], ["matrices"]),
        ([[0, 1, 2, 3], []], ["all"]),
        ([[0, 1, 2, 3]], ["all"]),
        ([[0], [1, 2]], []),
        ([[1], [0, 2, 3]], []),
        ([[0], [1, 2, 3], [3]], []),
        ([[0], [1], [2, 3]], []),  # nothing says why they are apart
    ],
)
def test_the_sizes_of_groups_tell_their_rule(groups, rules):
    listed = [{"params": group} for group in groups]
    found = [r for r in ("linear", "matrices", "all") if follows_rule(listed, SHAPES, r)]
    assert found == rules


def test_what_is_frozen_goes_by_its_name():
    assert is_frozen("blocks.1.sa.qkv.weight", 2, False)
    assert not is_frozen("blocks.10.sa.qkv.weight", 2, True)
    assert is_frozen(EMBEDDING, 0, True)
    assert is_frozen("position_embedding_table.weight", 0, True)
    assert not is_frozen("ln_f.weight", 9, True)
