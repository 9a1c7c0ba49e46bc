import pytest
import torch

from mypt.format.documents.config_parts.adapter import Adapter
from mypt.model.lora.attachment import (
    attach_adapter,
    initialise_adapter,
    list_frozen,
    merge_adapter,
)

IDX = torch.arange(12)[None]


def make_adapter(*targets):
    return Adapter(rank=2, alpha=8.0, targets=targets, base="base", base_sha256="0" * 64)


@pytest.fixture
def model(make_model):
    return make_model(tie_weights=True).eval()


def test_only_the_adapter_can_be_trained_and_is_saved(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attach_adapter(model, make_adapter("q", "proj"))
    names = {name for name, _ in model.named_parameters()}
    assert names == model.state_dict().keys()
    assert {name.rpartition(".")[2] for name in names} == {"lora_A", "lora_B"}
    frozen = dict(list_frozen(model))
    assert all(torch.equal(before[name], tensor) for name, tensor in frozen.items())
    assert model.lm_head.weight is model.token_embedding_table.weight


def test_it_adds_nothing_at_first_and_is_drawn_by_the_seed(model):
    before = model(IDX)
    attach_adapter(model, make_adapter("qkv"))
    initialise_adapter(model, 1)
    assert torch.equal(model(IDX), before)
    first = [tensor.clone() for tensor in model.parameters()]
    initialise_adapter(model, 1)
    assert all(map(torch.equal, first, model.parameters()))
    initialise_adapter(model, 2)
    assert not all(map(torch.equal, first, model.parameters()))


def test_a_merged_model_computes_the_same_and_trains_as_a_whole(model):
    model.double()  # a merged product is rounded elsewhere
    whole = [*model.state_dict()]
    attach_adapter(model, make_adapter("q", "v", "net.0"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    before = model(IDX)
    merge_adapter(model)
    assert [*model.state_dict()] == whole
    assert model.config.adapter is None
    torch.testing.assert_close(model(IDX), before)
