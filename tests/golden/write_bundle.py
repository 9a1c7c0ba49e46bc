"""Write a bundle of the current format with mypt itself, and the logits that it computes.

Run as `python -m tests.golden.write_bundle` when a version of the format is about to be released.
A bundle that exists is left alone: it is what a user's own bundles of that version are like.
"""

import contextlib
import json
import shutil
import tempfile

import numpy as np
import torch

import mypt
from mypt.format.storage.lock import LOCK_FILE
from mypt.format.version import FORMAT_VERSION, MYPT_VERSION
from mypt.plugins.manager import load_plugins
from tests.golden.write_checkpoints import HERE, PROMPT, SHAPE, STEPS, TEXT

PARTS = {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm", "tie_weights": True}


def main():
    target = HERE / f"bundle_{FORMAT_VERSION.replace('.', '_')}"
    checkpoint = target / "checkpoint"
    if target.exists():
        return
    text = TEXT.read_text("utf-8")
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(**SHAPE, **PARTS, vocab_size=tokenizer.vocab_size)
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    model = mypt.GPT(config, tokenizer)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        model.fit(loader, **STEPS, checkpoint_dir="dante", quiet=True)
        shutil.copytree("dante", checkpoint, ignore=shutil.ignore_patterns(LOCK_FILE))
    record(target, checkpoint.name, model)


def record(target, checkpoint, model):
    """Write beside a checkpoint what its model computes, and who wrote it."""
    ids = model.tokenizer.encode(PROMPT)
    with torch.no_grad():
        np.save(target / "expected_logits.npy", model(torch.tensor([ids])).numpy())
    expected = {
        "program": "mypt",
        "commit": MYPT_VERSION,
        "checkpoint": checkpoint,
        "options": {},
        "prompt_ids": ids,
    }
    (target / "expected.json").write_text(json.dumps(expected) + "\n", "utf-8")
    note = f"Written by mypt, {MYPT_VERSION}, with PyTorch {torch.__version__}.\n"
    (target / "README.md").write_text(note, "utf-8")


if __name__ == "__main__":
    main()
