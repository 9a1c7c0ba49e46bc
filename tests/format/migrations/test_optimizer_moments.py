import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.migrations.fuse_heads import find_fused_sources
from mypt.format.migrations.optimizer_moments import migrate_optimizer, optimizer_settings

SETTINGS = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.01}
NAMES = ("token_embedding_table.weight", "blocks.0.sa.heads.0.key.weight")
NAMES += ("blocks.0.sa.heads.0.query.weight", "blocks.0.sa.heads.0.value.weight")
TENSORS = {name: torch.zeros(2, 2) for name in (*NAMES, "lm_head.weight")}


def make_optimizer(*groups):
    """Return a state whose moments are the numbers of their parameters."""
    numbers = range(sum(groups))
    ends = [sum(groups[: i + 1]) for i in range(len(groups))]
    return {
        "state": {
            n: {"step": 7, "exp_avg": torch.full((2, 2), float(n)), "exp_avg_sq": torch.ones(2, 2)}
            for n in numbers
        },
        "param_groups": [
            {**SETTINGS, "params": list(range(end - size, end))}
            for size, end in zip(groups, ends, strict=True)
        ],
    }


def migrate(optimizer, **options):
    return migrate_optimizer(optimizer, TENSORS, find_fused_sources(TENSORS), **options)


EMBEDDING, QKV, HEAD = NAMES[0], "blocks.0.sa.qkv.weight", "lm_head.weight"


def values(document):
    assert document["optimizer"] == "adamw"
    return {name: entry["exp_avg"][:, 0].tolist() for name, entry in document["state"].items()}


def test_moments_of_heads_are_joined_as_their_weights_are():
    document = migrate(make_optimizer(5), tied=False)
    # query, key, value; with one group everything decays, in the order of the model.
    assert values(document) == {EMBEDDING: [0, 0], QKV: [2, 2, 1, 1, 3, 3], HEAD: [4, 4]}
    assert document["param_groups"] == [{**SETTINGS, "params": [EMBEDDING, QKV, HEAD]}]


def test_a_state_of_two_groups_is_numbered_by_group():
    document = migrate(make_optimizer(4, 1), tied=False)
    # The linear layers came first: key, query, value, the head; then the embedding.
    assert values(document) == {QKV: [1, 1, 0, 0, 2, 2], HEAD: [3, 3], EMBEDDING: [4, 4]}
    assert [group["params"] for group in document["param_groups"]] == [[QKV, HEAD], [EMBEDDING]]


def test_a_tied_head_has_no_moments():
    tied = values(migrate(make_optimizer(4), tied=True))
    assert tied == {EMBEDDING: [0, 0], QKV: [2, 2, 1, 1, 3, 3]}


def test_a_state_of_another_model_is_refused():
    with pytest.raises(FormatError, match="has 4 parameters, but the model has 5"):
        migrate(make_optimizer(4), tied=False)


def test_a_state_of_another_algorithm_is_refused():
    state = make_optimizer(4, 1)
    state["param_groups"][1]["amsgrad"] = True
    with pytest.raises(
        FormatError, match=r"optimizer\.pt param_groups\.1: is of AdamW with amsgrad"
    ):
        migrate(state, tied=False)


@pytest.mark.parametrize(("groups", "rule"), [((5,), "all"), ((4, 1), "linear")])
def test_what_only_the_optimizer_knows_becomes_hyperparameters(groups, rule):
    assert optimizer_settings(make_optimizer(*groups)) == {
        "weight_decay": 0.01,
        "weight_decay_on": rule,
        "beta1": 0.9,
        "beta2": 0.95,
        "learning_rate": 0.1,
    }
