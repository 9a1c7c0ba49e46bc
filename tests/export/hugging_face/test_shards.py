"""Large models are split over several files, as `transformers` does it."""

import json

import pytest
import torch

import mypt
from mypt.export.hugging_face.shards import parse_size

SIZES = {"block_size": 16, "vocab_size": 61, "n_embd": 12, "n_head": 3, "n_layer": 2}
IDS = torch.arange(20).reshape(2, 10) * 7 % 61


@pytest.fixture
def model(tmp_path):
    made = mypt.GPT(mypt.GPTConfig(**SIZES, tie_weights=True, dropout=0.0)).eval()
    torch.manual_seed(4)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    made.save(tmp_path / "model")
    return made


def export(tmp_path, **options):
    mypt.export_model(tmp_path / "model", "hf", tmp_path / "hf", options=options)
    return tmp_path / "hf"


@pytest.mark.parametrize("size", ["2KB", "4.5KB", 1])
def test_transformers_and_mypt_open_the_files_of_an_index(transformers, model, tmp_path, size):
    folder = export(tmp_path, max_shard_size=size)
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2
    assert shards[0].name == f"model-00001-of-{len(shards):05}.safetensors"
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        wanted = model(IDS)
        torch.testing.assert_close(theirs(IDS).logits, wanted, atol=1e-5, rtol=0)
        torch.testing.assert_close(mypt.load(folder)(IDS), wanted, atol=1e-5, rtol=0)


def test_the_index_is_that_of_transformers(transformers, model, tmp_path):
    folder = export(tmp_path, max_shard_size="4KB")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="4KB")
    ours, other = (
        json.loads((place / "model.safetensors.index.json").read_text())
        for place in (folder, tmp_path / "theirs")
    )
    assert ours.keys() == other.keys()
    assert ours["metadata"] == other["metadata"]
    assert ours["weight_map"].keys() == other["weight_map"].keys()
    text = (folder / "model.safetensors.index.json").read_text()
    assert text == json.dumps(ours, indent=2, sort_keys=True) + "\n"


def test_no_file_is_larger_unless_it_has_one_tensor(model, tmp_path):
    from mypt.format.tensors.safetensors import read_infos

    folder = export(tmp_path, max_shard_size="2KB")
    for file in folder.glob("*.safetensors"):
        infos = read_infos(file, file.name)
        assert sum(info.storage_bytes for info in infos.values()) <= 2000 or len(infos) == 1


def test_a_small_model_is_one_file_without_an_index(model, tmp_path):
    folder = export(tmp_path, max_shard_size="5GB")
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "config.json", "generation_config.json", "model.safetensors"}


def test_sizes_are_those_of_transformers():
    sizes = [parse_size(size) for size in ("500MB", "5GB", "1.5KB", "2TB", 77, None)]
    assert sizes == [500_000_000, 5_000_000_000, 1500, 2_000_000_000_000, 77, None]
