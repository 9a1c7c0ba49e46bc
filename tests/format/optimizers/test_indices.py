import pytest

from mypt.format.optimizers.indices import (
    follows_rule,
    holds_indices,
    name_parameters,
    number_parameters,
)
from mypt.format.optimizers.parameter_rules import RULES

SHAPES = {
    "token_embedding_table.weight": (5, 4),
    "blocks.0.ln1.weight": (4,),
    "blocks.0.sa.qkv.weight": (12, 4),
    "blocks.0.sa.qkv.bias": (12,),
}
EMBEDDING, NORM, QKV, BIAS = SHAPES
SETTINGS = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}


def entry(name):
    return {"step": 1, "exp_avg": name, "exp_avg_sq": name}


def state_of(*groups):
    return {
        "state": {index: entry(index) for group in groups for index in group},
        "param_groups": [{**SETTINGS, "amsgrad": False, "params": group} for group in groups],
    }


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
    assert [rule for rule in RULES if follows_rule(listed, SHAPES, rule)] == rules


def test_groups_may_be_cut_where_what_is_their_own_changes():
    groups = [{"params": [0]}, {"params": [1], "eps": 1.0}, {"params": [2, 3], "eps": 2.0}]
    assert all(follows_rule(groups, SHAPES, rule) for rule in RULES)
    groups[1:] = [{"params": [1, 2], "eps": 1.0}, {"params": [3], "eps": 2.0}]
    assert [rule for rule in RULES if follows_rule(groups, SHAPES, rule)] == ["linear", "all"]


def test_a_state_with_indices_is_read_by_the_names_of_parameters():
    document = name_parameters(state_of([0], [1, 2, 3]), SHAPES, ("linear",))
    assert document["optimizer"] == "adamw"
    assert {name: kept["exp_avg"] for name, kept in document["state"].items()} == {
        QKV: 0,
        EMBEDDING: 1,
        NORM: 2,
        BIAS: 3,
    }
    assert document["param_groups"] == [
        {**SETTINGS, "params": [QKV]},
        {**SETTINGS, "params": [EMBEDDING, NORM, BIAS]},
    ]
    assert name_parameters(state_of([0], [1, 2, 3]), SHAPES, ("all", "matrices")) is None


def test_indices_are_told_from_names():
    assert holds_indices(state_of([0], [1]))
    assert not holds_indices({"state": {}, "param_groups": [{"params": ["a"]}]})
    for contents in (None, [], {}, {"param_groups": 3}, {"param_groups": [[], {"params": 3}]}):
        assert not holds_indices(contents)


@pytest.mark.parametrize("rule", RULES)
def test_what_mypt_reads_is_numbered_as_its_own_optimizer_does(rule):
    counts = {"linear": ([0], [1, 2, 3]), "matrices": ([0, 1], [2, 3]), "all": ([0, 1, 2, 3],)}
    document = name_parameters(state_of(*counts[rule]), SHAPES, (rule,))
    if len(document["param_groups"]) > 1:
        document["param_groups"][1]["weight_decay"] = 0.0
    numbered = number_parameters(document, SHAPES)
    assert [group["params"] for group in numbered["param_groups"]] == [[0], [1, 2, 3]]
    order = [QKV, EMBEDDING, NORM, BIAS]
    for index, name in enumerate(order):
        assert numbered["state"][index] == document["state"][name]
    decays = [group["weight_decay"] for group in numbered["param_groups"]]
    assert decays == [0.1, 0.1 if rule == "all" else 0.0]  # never more than before
    assert all(group["amsgrad"] is False for group in numbered["param_groups"])


def test_what_was_never_updated_has_no_number_in_the_state():
    document = name_parameters(state_of([0], [1, 2, 3]), SHAPES, ("linear",))
    del document["state"][EMBEDDING]
    assert [*number_parameters(document, SHAPES)["state"]] == [0, 2, 3]


def test_a_model_without_anything_to_decay_has_a_group_of_nothing():
    shapes = {"a": (3,), "b": (2,)}
    document = name_parameters(state_of([0, 1]), shapes, ("all",))
    first, second = number_parameters(document, shapes)["param_groups"]
    assert (first["params"], second["params"]) == ([], [0, 1])
    assert first["betas"] == (0.9, 0.95)
