import pytest
import torch

from mypt.model.mode import evaluation_mode


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_restored_whatever_happens(training):
    model = torch.nn.Sequential(torch.nn.Dropout()).train(training)

    def fail():
        assert not any(module.training for module in model.modules())
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"), evaluation_mode(model):
        fail()
    assert all(module.training is training for module in model.modules())
