"""Weights of the real transformers in every form in which a folder may hold them."""

import json

import pytest
import torch

import mypt
from mypt.format.errors import FormatError

IDS = torch.arange(20).reshape(2, 10) * 7 % 61


@pytest.fixture
def folder(transformers, tmp_path):
    """A folder of a random GPT-2 in safetensors, with its model."""
    sizes = {"vocab_size": 61, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}
    torch.manual_seed(3)
    config = transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model", model


def write_bin(folder, model, legacy=False, change=lambda state: state):
    (folder / "model.safetensors").unlink(missing_ok=True)
    state = change(model.state_dict())
    file = folder / "pytorch_model.bin"
    torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    return file


def check(folder, model, plugins):
    with torch.no_grad():
        wanted = model(IDS).logits
        found = mypt.load(folder, plugins=plugins)(IDS)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_of_torch_give_the_logits_of_transformers(folder, plugins, legacy):
    path, model = folder
    write_bin(path, model, legacy)
    check(path, model, plugins)
    assert mypt.load(path, plugins=plugins).config.tie_weights  # stored twice, in one storage


@pytest.mark.parametrize("legacy", [False, True])
def test_masks_and_bare_names_of_early_files_are_read(folder, plugins, legacy):
    """The files of 2019: without the prefix, without the head, with a mask in each layer."""

    def make_early(state):
        named = {n.removeprefix("transformer."): t for n, t in state.items() if "lm_head" not in n}
        for layer in range(2):
            named[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16).tril()
        return named

    path, model = folder
    write_bin(path, model, legacy, make_early)
    check(path, model, plugins)


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_of_torch_in_several_files_are_read_together(folder, plugins, legacy):
    path, model = folder
    state = model.state_dict()
    (path / "model.safetensors").unlink()
    places = {}
    for number in (1, 2):
        shard = f"pytorch_model-0000{number}-of-00002.bin"
        part = {name: state[name].clone() for name in list(state)[number - 1 :: 2]}
        torch.save(part, path / shard, _use_new_zipfile_serialization=not legacy)
        places |= dict.fromkeys(part, shard)
    index = path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    check(path, model, plugins)
    index.write_text(json.dumps({"weight_map": {**places, "more": shard}}))
    with pytest.raises(FormatError, match=f"more: is missing from {shard}"):
        mypt.get_model_info(path, plugins=plugins)


def test_safetensors_come_first(folder, plugins):
    path, model = folder
    (path / "pytorch_model.bin").write_bytes(b"not even looked at")
    check(path, model, plugins)


def drop(state):
    return {n: t for n, t in state.items() if not n.endswith("h.1.ln_1.weight")}


def rename(state):
    return {n.replace("h.1.ln_1", "h.1.ln_9"): t for n, t in state.items()}


def reshape(state):
    return {n: t[:-1] if n.endswith("h.1.ln_1.weight") else t for n, t in state.items()}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, r"h\.1\.ln_1\.weight: is missing"),
        (rename, r"h\.1\.ln_9\.weight: does not belong"),
        (reshape, r"h\.1\.ln_1\.weight: has shape \(11,\), not \(12,\)"),
        (lambda state: state | {"step": 3}, "step: is a int, not a tensor with a name"),
        (lambda state: [*state.values()], "holds a list, not a dict of tensors"),
        (lambda state: state | {"x": torch.device("cpu")}, "x: is a str, not a tensor"),
    ],
)
def test_what_is_not_the_state_of_the_model_is_refused(folder, plugins, legacy, change, message):
    path, model = folder
    write_bin(path, model, legacy, change)
    for open_it in (mypt.get_model_info, mypt.load):
        with pytest.raises(FormatError, match=message):
            open_it(path, plugins=plugins)


class Gadget:
    def __reduce__(self):
        return print, ("owned",)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_does_not_run(folder, plugins, legacy, capfd):
    path, model = folder
    write_bin(path, model, legacy, lambda state: state | {"x": Gadget()})
    with pytest.raises(FormatError, match=r"names (builtins|__builtin__)\.print"):
        mypt.load(path, plugins=plugins)
    assert "owned" not in capfd.readouterr().out


def test_a_folder_without_weights_names_what_it_looked_for(folder, plugins):
    path, _ = folder
    (path / "model.safetensors").rename(path / "tf_model.h5")
    said = r"has none of model\.safetensors, model\.safetensors\.index\.json, pytorch_model\.bin, "
    with pytest.raises(FormatError, match=said):
        mypt.get_model_info(path, plugins=plugins)
    (path / "tf_model.h5").rename(path / "PyTorch_Model.bin")
    with pytest.raises(FormatError, match=r"would be read if it were called `pytorch_model\.bin`"):
        mypt.get_model_info(path, plugins=plugins)


def test_an_adapter_beside_the_weights_is_refused(folder, plugins):
    path, _ = folder
    (path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(FormatError, match=r"is an adapter of PEFT.*merge_and_unload"):
        mypt.load(path, plugins=plugins)


def test_weights_of_another_form_are_named(folder, plugins):
    path, _ = folder
    (path / "model.safetensors").rename(path / "model.fp16.safetensors")
    (path / "flax_model.msgpack").write_bytes(b"x")
    said = "mypt does not read flax_model.msgpack, model.fp16.safetensors as the weights"
    with pytest.raises(FormatError, match=said):
        mypt.load(path, plugins=plugins)
