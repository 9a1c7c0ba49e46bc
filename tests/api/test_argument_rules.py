import pytest
import torch

from mypt.api.argument_rules import DEVICE, PLUGINS
from mypt.format.errors import ConfigError
from mypt.format.rules.arguments import check_arguments


@pytest.mark.parametrize("device", ["cpu", "cuda:1", torch.device("cpu"), None])
def test_a_device_is_one_or_its_name(device):
    assert check_arguments(device=(device, DEVICE)) == {"device": device}


@pytest.mark.parametrize("device", [0, -1, b"cpu", torch.float32])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(ConfigError, match=r"^device: is .*; make it a torch\.device, or its name"):
        check_arguments(device=(device, DEVICE))


def test_plugins_are_what_load_plugins_returns(plugins):
    assert check_arguments(plugins=(plugins, PLUGINS)) == {"plugins": plugins}
    with pytest.raises(ConfigError, match="load_plugins"):
        check_arguments(plugins=("mypt-bpe", PLUGINS))
