"""A model gets rows for new tokens; all that it had stays as it was."""

import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.model.vocabulary_rows import add_rows
from mypt.plugins.manager import load_plugins

LAYOUTS = load_plugins().layouts
EMBEDDING, HEAD, BIAS = "token_embedding_table.weight", "lm_head.weight", "lm_head.bias"
SIZES = {"vocab_size": 6, "n_embd": 4, "n_head": 2, "n_layer": 1, "block_size": 4}


def make_weights(config):
    torch.manual_seed(1)
    rows = {EMBEDDING: torch.randn(6, 4), "ln_f.weight": torch.randn(4)}
    if not config.tie_weights:
        rows[HEAD] = torch.randn(6, 4)
    return rows | ({BIAS: torch.randn(6)} if config.has_head_bias else {})


@pytest.mark.parametrize("options", [{}, {"tie_weights": True}, {"head_bias": False}])
def test_new_rows_are_the_mean_of_those_in_use(options):
    config = GPTConfig(**SIZES, **options)
    weights = make_weights(config)
    made = add_rows(weights, config, 8, LAYOUTS, in_use=5, new_ids=[5, 6, 7])
    assert made.keys() == weights.keys()
    for name, tensor in weights.items():
        if name == "ln_f.weight":
            assert made[name] is tensor
        else:
            assert made[name].shape == (8, *tensor.shape[1:])
            assert torch.equal(made[name][:5], tensor[:5])
            mean = tensor[:5].double().mean(0).float()
            assert all(torch.equal(made[name][row], mean) for row in (5, 6, 7))


def test_a_row_of_the_padding_that_is_of_no_token_stays():
    config = GPTConfig(**SIZES)
    weights = make_weights(config)
    made = add_rows(weights, config, 6, LAYOUTS, in_use=3, new_ids=[3])
    assert torch.equal(made[EMBEDDING][4:], weights[EMBEDDING][4:])
    assert torch.equal(made[EMBEDDING][3], weights[EMBEDDING][:3].double().mean(0).float())
    assert not torch.equal(weights[EMBEDDING][3], made[EMBEDDING][3])  # the original is left alone
