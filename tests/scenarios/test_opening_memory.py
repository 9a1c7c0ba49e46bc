"""What opening a model takes of memory, in a process of its own: its weights, and little beside."""

import json
import subprocess
import sys

import pytest
import torch

import mypt
from mypt.format.tensors import safetensors
from mypt.format.tensors.pt_writer import write_tensors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak")

MOST = 1.15
# Another model is opened first, so that all that is imported has its memory by then.
PROGRAM = """
import json, sys
from pathlib import Path
import mypt
from mypt.engine.checkpoints.build import build_model
from mypt.format.open import open_checkpoint
from mypt.plugins.manager import load_plugins

plugins = load_plugins()
def open_model(path):
    opened = open_checkpoint(Path(path), plugins)
    return build_model(opened, plugins, cls=mypt.GPT, for_training=sys.argv[3] == "training")

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

for tensor in open_model(sys.argv[1]).parameters():
    tensor.sum()
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
weights = list(open_model(sys.argv[2]).parameters())
for tensor in weights:
    tensor.sum()
print(json.dumps([memory("VmHWM") - before, sum(tensor.nbytes for tensor in weights)]))
"""


def gpt2(folder, width, layers, dtype=torch.float32):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.GPT2Config(
        n_embd=width,
        n_layer=layers,
        n_head=4,
        vocab_size=4096,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    transformers.GPT2LMHeadModel(config).to(dtype).save_pretrained(folder)


def llama(folder, width, layers, dtype=torch.float32):
    """As many heads of keys as of queries: of all models, one that joins the most."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.LlamaConfig(
        hidden_size=width,
        intermediate_size=width * 2,
        num_hidden_layers=layers,
        num_attention_heads=4,
        vocab_size=4096,
        max_position_embeddings=64,
    )
    transformers.LlamaForCausalLM(config).to(dtype).save_pretrained(folder)


def llama_in_bfloat16(folder, width, layers):
    llama(folder, width, layers, torch.bfloat16)


def bundle(folder, width, layers, dtype=torch.float16):
    config = mypt.GPTConfig(
        n_embd=width, n_layer=layers, n_head=4, vocab_size=4096, block_size=64, tie_weights=True
    )
    model = mypt.GPT(config)
    model.save(folder)
    (folder / "manifest.json").unlink()  # which knows the digest of other weights
    with (folder / "model.pt").open("wb") as stream:
        write_tensors(stream, dict(model.state_dict()), dtype)


def gguf_of(kind):
    """A GGUF file, here with another suffix: it is known by its content."""

    def write(path, width, layers):
        files = pytest.importorskip("tests.support.gguf_files", reason="needs gguf")
        llama(path.with_name(f"{path.name}-folder"), width, layers)
        folder = path.with_name(f"{path.name}-folder")
        held = safetensors.load(folder / "model.safetensors", folder.name)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        source = files.Source(config, {name: tensor.numpy() for name, tensor in held.items()})
        keys, tensors = files.list_keys(source, "llama"), files.convert_tensors(source, "llama")
        files.write_file(path, "llama", keys, tensors, kind=kind)

    write.__name__ = f"gguf_{kind}"
    return write


CASES = [
    (gguf_of("F16"), "inference"),
    (gguf_of("Q8_0"), "inference"),
    (gpt2, "inference"),
    (gpt2, "training"),
    (llama, "inference"),
    (llama_in_bfloat16, "inference"),
    (bundle, "inference"),
]


@pytest.mark.parametrize(("write", "purpose"), CASES)
def test_opening_takes_the_memory_of_the_weights_in_float32(tmp_path, write, purpose):
    write(tmp_path / "small", 32, 1)
    write(tmp_path / "large", 512, 6)
    words = [sys.executable, "-c", PROGRAM, tmp_path / "small", tmp_path / "large", purpose]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak, size = json.loads(done.stdout)
    assert size > 50_000_000
    assert peak < MOST * size
