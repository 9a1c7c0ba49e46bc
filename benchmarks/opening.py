"""Opening a model of 500 MB, of every form, beside `safetensors` and `transformers`.

Beside `mypt.load` stands `safetensors.torch.load_file` of the same weights in float32, plus
building the model of `transformers` on the meta device from its config, without putting the weights
into it. `load_file` maps a file and reads none of it, and so does `mypt.load`, but for what it
computes: it joins the rows of queries, keys and values of a Llama, dequantizes, and converts what
is not float32. So four spans are measured, each side in a process of its own, in turn:

* from `import torch` on to the open model: what a program waits for that opens one, with the
  imports of either side;
* the same until every weight has been read once, where mapping hides nothing any more;
* the call alone, when all is imported and the files were opened before;
* that call until every weight has been read once.

All files are in the cache of the system, and no folder has a tokenizer, of which `load_file` knows
nothing. Peak memory is that of the process until every weight has been read, less what it held
after the imports; it is compared with the weights in float32, which is what the model holds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import Pairs, machine

ROUNDS = 5
MEASURE = """
import json, statistics, sys, time
import torch

def memory(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) * 1024

began = time.perf_counter()
{imports}
path, calls = sys.argv[1], []
before = memory("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins anew
weights, model = open_model()
opened = time.perf_counter() - began
for tensor in weights:
    tensor.sum()
read = time.perf_counter() - began
peak = memory("VmHWM") - before
size = sum({{tensor.data_ptr(): tensor.nbytes for tensor in weights}}.values())
for _ in range(5):
    weights = model = tensor = None
    start = time.perf_counter()
    weights, model = open_model()
    done = time.perf_counter() - start
    for tensor in weights:
        tensor.sum()
    calls.append((done, time.perf_counter() - start))
call, call_read = map(statistics.median, zip(*calls))
print(json.dumps([opened, read, call, call_read, peak / 1e6, size / 1e6]))
"""
OURS = """
import mypt

def open_model():
    model = mypt.load(path)
    return list(model.parameters()), model
"""
THEIRS = """
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

def open_model():
    weights = load_file(path + "/model.safetensors")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path))
    return list(weights.values()), model
"""
# SmolLM-135M's shape, with 3 heads of keys to 9 of queries, and GPT-2's.
WRITE = """
import sys
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

import mypt
from mypt.cli.main import mypt_group, run

folder = sys.argv[1]
llama = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=2048,
    tie_word_embeddings=True,
)
LlamaForCausalLM(llama).save_pretrained(folder + "/llama")
LlamaForCausalLM(llama).to(torch.bfloat16).save_pretrained(folder + "/llama_bf16")
GPT2LMHeadModel(GPT2Config()).save_pretrained(folder + "/gpt2")
for name in "llama", "gpt2":
    mypt.load(f"{folder}/{name}").save(f"{folder}/{name}_bundle")
for dtype in "F16", "Q8_0":
    output = f"{folder}/{dtype}.gguf"
    words = ["export", f"{folder}/llama", "--to", "gguf", "--dtype", dtype, "--output", output]
    assert run(mypt_group, "mypt", words) == 0
"""
# What is opened, and the folder with the same weights in float32 that stands beside it.
CASES = {
    "a Hugging Face folder, Llama": ("llama", "llama"),
    "a Hugging Face folder, Llama in bfloat16": ("llama_bf16", "llama"),
    "a Hugging Face folder, GPT-2": ("gpt2", "gpt2"),
    "a GGUF of F16, Llama": ("F16.gguf", "llama"),
    "a GGUF of Q8_0, Llama": ("Q8_0.gguf", "llama"),
    "a bundle, Llama": ("llama_bundle", "llama"),
    "a bundle, GPT-2": ("gpt2_bundle", "gpt2"),
}
SPANS = (
    "from import torch on",
    "the same and every weight read",
    "the call alone",
    "the call and every weight read",
)


def main() -> None:
    """Compare, case by case."""
    with tempfile.TemporaryDirectory() as folder:
        _run(WRITE, folder)
        for name, (ours, theirs) in CASES.items():
            _compare(name, Path(folder, ours), Path(folder, theirs))
    machine()


def _compare(name: str, path: Path, beside: Path) -> None:
    sides = ((OURS, path), (THEIRS, beside))
    rounds = [[_measure(imports, place) for imports, place in sides] for _ in range(ROUNDS)]
    print(f"{name}:")
    for index, span in enumerate(SPANS):
        pairs = Pairs([(ours[index], theirs[index]) for ours, theirs in rounds])
        mine, other = pairs.scaled(1e3).medians
        print(f"  {span}: {mine:.0f} ms and {other:.0f} ms, ratio {pairs.ratio}")
    for side, measured in zip(("mypt", "load_file"), zip(*rounds, strict=True), strict=True):
        peak = statistics.median(peak for *_, peak, _ in measured)
        size = measured[0][-1]
        print(f"  peak memory of {side}: {peak:.0f} MB, {peak / size:.2f} of {size:.0f} MB")
    sys.stdout.flush()


def _measure(imports: str, path: Path) -> list[float]:
    """Give the seconds of each span, the peak memory and the weights in MB."""
    found: list[float] = json.loads(_run(MEASURE.format(imports=imports), str(path)))
    return found


def _run(program: str, argument: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    words = [sys.executable, "-c", program, argument]
    return subprocess.check_output(words, env=environment, text=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
