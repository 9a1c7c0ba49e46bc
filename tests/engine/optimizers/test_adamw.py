import pytest
import torch

from mypt.engine.optimizers.adamw import build_adamw
from mypt.format.documents.training import TrainingConfig

PARAMETERS = {
    "token_embedding_table.weight": torch.nn.Parameter(torch.zeros(5, 4)),
    "blocks.0.sa.qkv.weight": torch.nn.Parameter(torch.zeros(12, 4)),
    "ln_f.weight": torch.nn.Parameter(torch.zeros(4)),
}
EMBEDDING, QKV, NORM = PARAMETERS


@pytest.mark.parametrize(
    ("rule", "groups"),
    [
        ("linear", [([QKV], 0.3), ([EMBEDDING, NORM], 0.0)]),
        ("matrices", [([EMBEDDING, QKV], 0.3), ([NORM], 0.0)]),
        ("all", [([EMBEDDING, QKV, NORM], 0.3)]),
    ],
)
def test_weight_decay_applies_to_what_the_rule_names(rule, groups):
    training = TrainingConfig(
        learning_rate=0.02, beta1=0.8, beta2=0.9, weight_decay=0.3, weight_decay_on=rule
    )
    optimizer = build_adamw(PARAMETERS, training)
    made = optimizer.param_groups
    assert [(group["param_names"], group["weight_decay"]) for group in made] == groups
    for group in made:
        assert (group["lr"], group["betas"], group["fused"]) == (0.02, (0.8, 0.9), True)
        assert all(
            PARAMETERS[n] is p for n, p in zip(group["param_names"], group["params"], strict=True)
        )


def test_what_is_a_parameters_own_makes_a_group():
    own = {QKV: {"eps": 1e-5}, NORM: {"eps": 1e-5}}
    groups = build_adamw(PARAMETERS, TrainingConfig(weight_decay_on="all"), own).param_groups
    assert [(group["param_names"], group["eps"]) for group in groups] == [
        ([EMBEDDING], 1e-8),
        ([QKV, NORM], 1e-5),
    ]
