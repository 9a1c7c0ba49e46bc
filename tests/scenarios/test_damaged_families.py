"""No family opens a file with a tensor missing, renamed or misshapen, or of a lying config."""

import json

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.tensors import safetensors
from tests.support.class_folders import PLUGINS, WRITTEN, edit, make_model, write

FAMILIES = dict(reversed(WRITTEN))  # the first of each
LIES = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
LIES += ("hidden_size", "intermediate_size", "n_layer", "n_embd", "n_inner", "n_positions")


@pytest.fixture(params=FAMILIES)
def folder(request, tmp_path):
    write(make_model(FAMILIES[request.param]), tmp_path / "hf")
    held = json.loads((tmp_path / "hf" / "config.json").read_text())
    del held["mypt"]
    (tmp_path / "hf" / "config.json").write_text(json.dumps(held))
    return tmp_path / "hf"


def check_refused(folder):
    """Check that neither a look nor an opening takes it."""
    with pytest.raises(FormatError):
        mypt.get_model_info(folder, plugins=PLUGINS)
    with pytest.raises(FormatError):
        mypt.load(folder, plugins=PLUGINS)


def test_no_tensor_may_be_missing_renamed_or_misshapen(folder):
    path = folder / "model.safetensors"
    tensors = dict(safetensors.load(path, path.name))
    chosen = [
        name for name in tensors if ".1." in name or ("layers" not in name and ".h." not in name)
    ]
    whole = {name: tensor.clone() for name, tensor in tensors.items()}
    for name in chosen:
        rest = {other: tensor for other, tensor in whole.items() if other != name}
        for changed in (
            rest,
            {**rest, f"{name}x": whole[name]},
            {**rest, name: torch.cat([whole[name], whole[name][:1]])},
            {**rest, name: whole[name].int()},
        ):
            with path.open("wb") as stream:
                safetensors.write(stream, changed)
            check_refused(folder)


def test_no_size_of_the_config_may_lie(folder):
    held = json.loads((folder / "config.json").read_text())
    for key in held.keys() & {*LIES}:
        for value in (held[key] * 2, max(1, held[key] // 2), 10**6, None, "4"):
            if value in (held[key], None) and key == "num_key_value_heads":
                continue  # null is as many as heads, which the tensors then contradict or not
            edit(folder, **{key: value})
            check_refused(folder)
        edit(folder, **{key: held[key]})
    assert mypt.get_model_info(folder, plugins=PLUGINS)["config"]["vocab_size"] == 61
