from contextlib import nullcontext

import pytest
import torch

from mypt.engine.runtime import devices
from mypt.engine.runtime.devices import autocast, choose_device, is_available
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_the_fastest_device_is_the_default(two_gpus):
    assert choose_device() == torch.device("cuda")
    assert choose_device("auto") == torch.device("cuda")


def test_a_gpu_is_there_by_its_number(two_gpus):
    names = ("cuda", "cuda:1", "cuda:2", "cpu", "gpu", "meta")
    assert [name for name in names if is_available(name)] == ["cuda", "cuda:1", "cpu"]


@pytest.mark.parametrize("wanted", ["cuda:7", "gpu", "xpu"])
def test_what_is_not_there_is_refused_with_what_is(wanted, monkeypatch):
    monkeypatch.setattr(devices, "_fastest_device", lambda: "cpu")
    with pytest.raises(ConfigError, match=f"device: `{wanted}` is not available here; .* cpu"):
        choose_device(wanted)


def test_precision_is_mixed_on_cuda_alone():
    on_cpu = autocast(torch.device("cpu"), TrainingConfig())
    switched_off = autocast(torch.device("cuda"), TrainingConfig(use_amp=False))
    assert isinstance(on_cpu, nullcontext)
    assert isinstance(switched_off, nullcontext)
