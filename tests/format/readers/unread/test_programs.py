"""A checkpoint of a program that mypt does not read is refused with the program's name."""

import re
import struct

import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.validate import validate

W = torch.zeros(2, 2)
# By what the refusal says, the content of a file; a dict is saved by torch.
FILES = {
    "adapter of PEFT": {"base_model.model.model.layers.0.q_proj.lora_A.weight": W},
    "DeepSpeed; .*zero_to_fp32.py": {"module": {"a": W}, "ds_version": "0.14"},
    "Megatron-LM": {"args": {"num_layers": 2}, "checkpoint_version": 3.0, "model": {}},
    "fairseq": {"model": {"decoder.a": W}, "last_optimizer_state": {}},
    "Meta's Llama": {"layers.0.attention.wq.weight": W},
    "RWKV": {"blocks.0.att.time_decay": W},
    "nanoGPT without a config": {"_orig_mod.transformer.h.0.attn.c_attn.weight": W},
    "Hugging Face without a config": {"model.layers.0.mlp.up_proj.weight": W},
    "TensorFlow": b"\x89HDF\r\n\x1a\n" + bytes(9),
    "llm.c": struct.pack("<256i", 20240326, 3, *range(254)),
    "before GGUF": b"tjgg" + bytes(9),
}
# By what the refusal says, files of a folder.
FOLDERS = {
    "DeepSpeed": ("latest", "zero_to_fp32.py"),
    "Megatron-LM": ("latest_checkpointed_iteration.txt",),
    "Meta's Llama": ("params.json", "consolidated.00.pth"),
    "TensorFlow": ("checkpoint", "model.ckpt.index"),
}


def find_reasons(path, plugins):
    """Return what `mypt.load` says; `mypt.get_model_info` and `validate` must say it too."""
    with pytest.raises(FormatError) as caught:
        mypt.load(path, plugins=plugins)
    with pytest.raises(FormatError) as other:
        mypt.get_model_info(path, plugins=plugins)
    assert str(other.value) == str(caught.value)
    found = validate(path, plugins.layouts, tuple(plugins.readers.values()))
    assert {str(p) for p in caught.value.problems} == {str(p) for p in found}
    return str(caught.value)


@pytest.mark.parametrize("reason", FILES)
def test_a_file_is_known_by_its_content(reason, tmp_path, plugins):
    path, content = tmp_path / "some.pt", FILES[reason]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    assert re.search(f"some.pt: .*{reason}", find_reasons(path, plugins))


@pytest.mark.parametrize("reason", FOLDERS)
def test_a_folder_is_known_by_its_files(reason, tmp_path, plugins):
    for name in FOLDERS[reason]:
        (tmp_path / name).write_text("{}")
        if name.endswith(("h", "s")):
            torch.save({"a": W}, tmp_path / name)
    with pytest.raises(FormatError, match=reason):
        mypt.load(tmp_path, plugins=plugins)


def test_a_file_of_a_checkpoint_leads_to_its_folder(tmp_path, plugins):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    torch.save({"model.layers.0.mlp.up_proj.weight": W}, tmp_path / "pytorch_model.bin")
    found = find_reasons(tmp_path / "pytorch_model.bin", plugins)
    assert f"is one file of a checkpoint; name the folder: {tmp_path}" in found
    (tmp_path / "pytorch_model.bin").write_bytes(bytes(9))
    assert "filled with zeros" in find_reasons(tmp_path / "pytorch_model.bin", plugins)
