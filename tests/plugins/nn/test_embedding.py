import pytest
import torch

from mypt.model.decoding.decoder import plain_linear
from mypt.plugins.nn.one_token import make_one_token

CHANGES = [
    {},
    {"embedding_scale": 3.0},
    {"embedding_norm": True},
    {"embedding_norm": True, "embedding_scale": 0.5, "norm_type": "rmsnorm"},
]


@pytest.mark.parametrize("changed", CHANGES, ids=str)
def test_the_vectors_of_ids_are_scaled_and_then_normalized(make_model, ids, changed):
    model, idx = make_model(**changed), ids(2, 5)
    part = model.token_embedding_table
    wanted = part.weight[idx] * changed.get("embedding_scale", 1.0)
    if changed.get("embedding_norm"):
        wanted = part.norm(wanted)
    torch.testing.assert_close(part(idx), wanted)
    one = make_one_token(part, plain_linear)
    torch.testing.assert_close(one(idx[:, 2]), wanted[:, 2])


def test_its_norm_is_named_after_it(make_model):
    names = [n for n in make_model(embedding_norm=True).state_dict() if "token_embedding" in n]
    places = ("weight", "norm.weight", "norm.bias")
    assert names == [f"token_embedding_table.{place}" for place in places]


def test_only_its_weight_is_tied(make_model):
    model = make_model(embedding_norm=True, tie_weights=True)
    assert model.lm_head.weight is model.token_embedding_table.weight
