import torch
from torch import nn

from mypt.model.decoding.weights_version import WeightsVersion


def test_a_model_that_nothing_was_done_to_is_the_same():
    model = nn.Linear(3, 2)
    version = WeightsVersion(model)
    model(torch.ones(1, 3))
    assert version.is_of(model)
    assert not version.is_of(nn.Linear(3, 2))


def test_an_update_of_an_optimizer_is_seen():
    model = nn.Linear(3, 2)
    version = WeightsVersion(model)
    for make in (torch.optim.SGD, torch.optim.AdamW):
        model(torch.ones(1, 3)).sum().backward()
        make(model.parameters(), lr=0.1).step()
        assert not version.is_of(model)
        version = WeightsVersion(model)


def test_loaded_weights_are_seen_and_buffers_too():
    model = nn.BatchNorm1d(3)
    for change in (
        lambda: model.load_state_dict(model.state_dict()),
        lambda: model.load_state_dict(model.state_dict(), assign=True),
        lambda: model.running_mean.add_(1),
    ):
        version = WeightsVersion(model)
        change()
        assert not version.is_of(model)
