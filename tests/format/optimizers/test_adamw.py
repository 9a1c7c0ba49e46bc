import pytest

from mypt.format.optimizers.adamw import (
    ADAMW,
    Group,
    cut_groups,
    foreign_algorithm,
    own_settings,
)
from mypt.format.optimizers.declaration import ParameterInfo, StateTensor
from mypt.format.optimizers.document import optimizer_document

SHAPES = {
    "token_embedding_table.weight": (5, 4),
    "blocks.0.ln1.weight": (4,),
    "blocks.0.sa.qkv.weight": (12, 4),
    "blocks.0.sa.qkv.bias": (12,),
}
EMBEDDING, NORM, QKV, BIAS = SHAPES


def test_a_group_is_of_what_decays_alike_and_has_the_same_settings_of_its_own():
    assert cut_groups(SHAPES, "all", {}) == [Group([*SHAPES], True, {})]
    slow = {"initial_lr": 0.1}
    groups = cut_groups(SHAPES, "linear", {EMBEDDING: slow, BIAS: slow})
    assert groups == [
        Group([QKV], True, {}),
        Group([EMBEDDING, BIAS], False, slow),
        Group([NORM], False, {}),
    ]
    document = optimizer_document("adamw", {}, ((group.names, group.own) for group in groups))
    listed = document["param_groups"]
    assert own_settings(listed) == {QKV: {}, EMBEDDING: slow, BIAS: slow, NORM: {}}


def test_it_keeps_two_moments_of_the_shape_and_dtype_of_the_parameter():
    kept = ADAMW.state(ParameterInfo("x", (3, 2), "bfloat16"), {})
    moment = StateTensor((3, 2))
    assert kept == {"step": StateTensor((), "float32"), "exp_avg": moment, "exp_avg_sq": moment}
    assert [*kept] == ["step", "exp_avg", "exp_avg_sq"]


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"lr": 0.1}, "no `betas`"),
        ({"betas": (0.9, 0.95), "decoupled_weight_decay": False}, "is of Adam"),
        ({"betas": (0.9, 0.95), "amsgrad": True}, "amsgrad"),
        ({"betas": (0.9, 0.95), "maximize": True}, "minimizes the loss"),
    ],
)
def test_what_makes_other_updates_is_told(group, said):
    assert said in foreign_algorithm(group)
    plain = {"betas": (0.9, 0.95), "amsgrad": False, "maximize": False, "fused": True}
    assert foreign_algorithm(plain) is None
