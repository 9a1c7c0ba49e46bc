import math

import pytest
import torch

from mypt.engine.evaluation.divergence import are_finite, diverged_error, explain_losses
from mypt.format.documents.training import TrainingConfig
from mypt.plugins import Evaluation


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_one_value_that_is_not_finite_is_found(dtype, wrong):
    tensors = [torch.ones(3, 4, dtype=dtype), torch.arange(5), torch.ones(7, dtype=dtype)]
    assert are_finite(tensors)
    tensors[2][6] = wrong
    assert not are_finite(tensors)


def test_a_sum_that_overflows_is_of_finite_values():
    assert are_finite([torch.full((4,), torch.finfo(torch.float32).max)])
    assert are_finite([torch.full((4,), 1e300, dtype=torch.float64)])
    assert not are_finite([torch.tensor([math.inf, -math.inf])])


def test_what_holds_no_values_is_finite():
    assert are_finite([])
    assert are_finite([torch.arange(3), torch.empty(0)])


def test_losses_are_explained_but_for_those_of_further_sets():
    one = Evaluation(step=3, train_loss=2.0, val_loss=math.nan, eval_losses={"other": math.nan})
    assert explain_losses(one) == "the validation loss is NaN"
    one = Evaluation(step=3, train_loss=math.inf, val_loss=math.inf)
    assert explain_losses(one) == "the validation and training loss is infinite"
    assert explain_losses(Evaluation(3, 2.0, 2.0, {"other": math.nan})) is None


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        (None, "at step 40, and nothing was saved; begin again with a learning_rate below 0.01"),
        (
            30,
            "at step 40, and step 30 stays as it was saved; go on from there with a learning_rate",
        ),
        (40, "at step 40, and so they are in what was saved; begin with a gold or numbered copy"),
    ],
)
def test_the_error_says_what_there_is_to_go_on_from(saved, said):
    for terminates in (True, False):
        training = TrainingConfig(learning_rate=0.01, terminate_on_nan=terminates)
        error = diverged_error("x", 40, folder=None, saved_step=saved, training=training)
        assert said in str(error)
        assert ("terminate_on_nan" in str(error)) == terminates
