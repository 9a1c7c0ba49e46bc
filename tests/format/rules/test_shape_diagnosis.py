import pytest
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.rules.shape_diagnosis import explain_shapes

CONFIG = GPTConfig(block_size=8, vocab_size=11, n_embd=12, n_head=3, n_layer=1)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"vocab_size": 13},
        {"n_embd": 24},
        {"block_size": 16},
        {"mlp_type": "swiglu"},
        {"norm_type": "rmsnorm"},
        {"pos_encoding": "rope"},
        {"bias": True},
        {"vocab_size": 13, "mlp_hidden": 20},
        {"n_kv_head": 1},
        {"qk_norm": "head"},
        {"qk_norm": "width"},
        {"block_type": "sandwich_norm"},
        {"block_type": "parallel"},
        {"final_norm": False},
        {"embedding_norm": True},
        {"norm_weight": False},
        {"n_kv_head": 1, "qk_norm": "width"},
    ],
)
def test_the_fewest_fields_are_found_that_explain_the_tensors(changed):
    shapes = expected_tensors(evolve(CONFIG, **changed), BUILT_IN)
    found = explain_shapes(CONFIG, shapes, BUILT_IN)
    assert expected_tensors(evolve(CONFIG, **found), BUILT_IN) == shapes
    assert len(found) <= len(changed)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"n_kv_head": 1}, {"n_kv_head": 3}),
        ({"qk_norm": "head"}, {"qk_norm": "width"}),
        ({"qk_norm": "width"}, {"qk_norm": None}),
        ({"block_type": "sandwich_norm"}, {"block_type": "parallel"}),
        ({"final_norm": False}, {"final_norm": True}),
        ({"embedding_norm": True, "norm_weight": False}, {"norm_weight": True}),
    ],
)
def test_a_field_that_was_edited_is_found_by_itself(was, now):
    shapes = expected_tensors(evolve(CONFIG, **was), BUILT_IN)
    found = explain_shapes(evolve(CONFIG, **(was | now)), shapes, BUILT_IN)
    assert found == {name: was[name] for name in now}


def test_tensors_of_another_kind_are_explained_by_nothing():
    assert explain_shapes(CONFIG, {"conv.weight": (3, 3, 3)}, BUILT_IN) == {}
