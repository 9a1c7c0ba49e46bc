"""The tensors of an exported folder: their dtype, and the memory that they take."""

import json

import pytest
import torch

import mypt
from mypt.export.hugging_face.classes import describe
from mypt.export.hugging_face.weights import lay_out_weights
from mypt.format.tensors.weights_file import describe_weights

SIZES = {"block_size": 16, "vocab_size": 61, "n_embd": 12, "n_head": 3, "n_layer": 2}


@pytest.fixture
def model(tmp_path):
    made = mypt.GPT(mypt.GPTConfig(**SIZES, dropout=0.0)).eval()
    made.save(tmp_path / "model")
    return made


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_dtype_is_that_of_every_tensor_and_of_the_model_that_opens(
    transformers, model, tmp_path, dtype
):
    mypt.export_model(tmp_path / "model", "hf", tmp_path / "hf", options={"dtype": dtype})
    infos = describe_weights(tmp_path / "hf" / "model.safetensors", "")
    assert {info.dtype for info in infos.values()} == {dtype}
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["dtype"] == config["torch_dtype"] == dtype
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype="auto")
    assert theirs.dtype == getattr(torch, dtype)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        difference = theirs.float().eval()(ids).logits - model(ids)
    assert difference.abs().max() <= (1e-5 if dtype == "float32" else 1e-2)


def test_what_a_dtype_cannot_hold_is_refused_by_the_name_of_the_tensor(model, tmp_path):
    with torch.no_grad():
        model.get_parameter("lm_head.weight")[1, 2] = 1e5
    model.save(tmp_path / "model", overwrite=True)
    with pytest.raises(mypt.FormatError, match=r"lm_head.weight: has values beyond .* float16"):
        mypt.export_model(tmp_path / "model", "hf", tmp_path / "hf", options={"dtype": "float16"})
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    mypt.export_model(tmp_path / "model", "hf", tmp_path / "hf", options={"dtype": "bfloat16"})


def test_tensors_are_made_when_they_are_written(model):
    """A folder of any size takes the memory of the largest tensor, beside the mapped weights."""
    weights = model.state_dict()
    laid_out = lay_out_weights(describe(model.config), weights, "float16")
    made = laid_out.make()
    first = next(made)
    before = weights["ln_f.weight"].clone()
    weights["ln_f.weight"].add_(1.0)  # after the first tensor was made
    by_name = dict(zip((tensor.name for tensor in laid_out.tensors), (first, *made), strict=True))
    assert torch.equal(by_name["transformer.ln_f.weight"], (before + 1.0).half())
    assert laid_out.numel == sum(tensor.numel() for tensor in by_name.values())
