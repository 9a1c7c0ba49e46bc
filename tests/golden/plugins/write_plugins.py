"""Build the golden package, and have mypt train and save a model with it.

Run as `python -m tests.golden.plugins.write_plugins` before a release whose contracts have grown,
with a new package in `sources`. What exists is left alone: it is what people have installed.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from mypt.format.storage.lock import LOCK_FILE
from tests.golden.plugins.training import FLAGS, HERE, PRESET, PROMPT, STORIES, WHEEL, install


def build_wheel():
    """Build the wheel from its sources."""
    with tempfile.TemporaryDirectory() as folder:
        source = shutil.copytree(HERE / "sources", Path(folder, "sources"))
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(HERE)]
        subprocess.run(command, cwd=source, check=True)


def train(folder):
    """Train the model in a folder, by the command."""
    Path(folder, "input.story").write_text(STORIES, "utf-8")
    Path(folder, "preset.json").write_text(json.dumps(PRESET), "utf-8")
    words = ["-m", "mypt", "--strict-plugins", "train", "--model_name", "golden", *FLAGS]
    path = os.pathsep.join([str(Path(folder, "site")), str(HERE.parents[2])])
    environment = {**os.environ, "PYTHONPATH": path}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True)


def describe(folder):
    """Write what the trained model computes."""
    import torch

    import mypt

    model = mypt.load(folder)
    ids = model.tokenizer.encode(PROMPT)
    with torch.no_grad():
        np.save(HERE / "computed_logits.npy", model(torch.tensor([ids])).numpy())
    expected = {
        "mypt": mypt.__version__,
        "wheel_sha256": hashlib.sha256(WHEEL.read_bytes()).hexdigest(),
        "prompt": PROMPT,
        "prompt_ids": ids,
        "text": model.generate(PROMPT, 12, temperature=0),
    }
    (HERE / "computed.json").write_text(json.dumps(expected, indent=2) + "\n", "utf-8")


def main():
    """Write what does not exist yet."""
    if not WHEEL.exists():
        build_wheel()
    if (HERE / "bundle").exists():
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        site = Path(folder, "site")
        install(site)
        train(folder)
        sys.path.insert(0, str(site))
        made = Path(folder, "checkpoints", "golden")
        describe(made)
        shutil.copytree(made, HERE / "bundle", ignore=shutil.ignore_patterns(LOCK_FILE))


if __name__ == "__main__":
    main()
