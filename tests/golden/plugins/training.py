"""How the golden model was trained, and what is installed to train it."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WHEEL = HERE / "acme_every-1.0-py3-none-any.whl"
PARTS = {
    "pos_encoding": "acme_waves",
    "attention_type": "acme_single",
    "mlp_type": "acme_leaky",
    "norm_type": "acme_scaled",
    "block_type": "acme_chained",
    "embedding_type": "acme_wide",
    "head_type": "acme_steady",
    "head_bias": False,
}
PRESET = {
    **PARTS,
    "tokenization": "acme_words",
    "plugins": {"acme-every": {"slope": 0.2, "n_words": 60}},
    "optimizer": "acme_signs",
    "optimizer_options": {"momentum": 0.8},
    "lr_schedule": "acme_stairs",
    "lr_schedule_options": {"every": 2},
    "loss": "acme_focal",
    "loss_options": {"gamma": 1.5},
    "data_options": {"separator": "---"},
    "gold_guards": {"acme_below": {"limit": 9.5}},
    "log_sinks": {"acme_lines": {"path": "heard.jsonl"}},
}
FLAGS = (
    *("--input_file", "input.story", "--config_file", "preset.json", "--device", "cpu"),
    *("--n_layer", "2", "--n_embd", "16", "--n_head", "2", "--block_size", "16"),
    *("--batch_size", "2", "--max_iters", "4", "--eval_interval", "2", "--eval_iters", "1"),
)
PROMPT = "the cat sat on "
LINES = [f"line {i}: the cat sat on the mat, {i * i} times.\n" for i in range(400)]
# Some of these are one document; the package reads them, as a file of stories.
STORIES = "---\n".join("".join(LINES[at : at + 8]) for at in range(0, 400, 8))


def install(folder):
    """Install the package as a user does, without what it requires: that is here."""
    offline = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder)]
    subprocess.run([*command, str(WHEEL)], check=True)
