import json

import pytest

import mypt
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.format.tensors import safetensors
from tests.support.class_folders import PLUGINS, edit, make_model, write


def test_a_zero_bias_that_was_trained_elsewhere_stays(tmp_path):
    model = make_model({})
    write(model, tmp_path / "hf")
    path = tmp_path / "hf" / "model.safetensors"
    tensors = {name: t.clone() for name, t in safetensors.load(path, path.name).items()}
    tensors["transformer.h.1.attn.c_attn.bias"][0] = 1.0
    with path.open("wb") as stream:
        safetensors.write(stream, tensors)
    opened = open_checkpoint(tmp_path / "hf", PLUGINS)
    assert opened.config.has_qkv_bias
    assert not opened.config.has_proj_bias
    assert opened.weights()["blocks.1.sa.qkv.bias"][0] == 1.0
    assert mypt.get_model_info(tmp_path / "hf", plugins=PLUGINS)["config"]["qkv_bias"]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"n_head": 2}, "#/mypt/n_head: is 2, but the class computes with 4"),
        ({"mlp_type": "relu"}, "#/mypt/mlp_type: is relu, but the class computes with gelu"),
        ({"norm_weight": False}, "#/mypt/norm_weight: is false"),
        ({"tie_weights": True}, "#/mypt/tie_weights: is true"),
        ({"n_head": 0}, "config.json#/mypt#/n_head: is 0"),
        (None, "#/mypt: is not an object"),
    ],
)
def test_an_own_config_that_contradicts_is_refused(tmp_path, own, message):
    write(make_model({}), tmp_path / "hf")
    held = json.loads((tmp_path / "hf" / "config.json").read_text())["mypt"]
    edit(tmp_path / "hf", mypt=1 if own is None else held | own)
    with pytest.raises(FormatError, match=message):
        mypt.load(tmp_path / "hf", plugins=PLUGINS)
    with pytest.raises(FormatError, match=message):
        mypt.get_model_info(tmp_path / "hf", plugins=PLUGINS)
