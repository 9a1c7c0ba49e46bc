"""`python -m mypt.format validate` on a bundle of 124M parameters, beside `import jsonschema`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from interleaved import compare, machine


def main() -> None:
    """Write a bundle with optimizer state, and validate it in fresh processes."""
    import mypt
    from mypt.engine.optimizer import make_optimizer, optimizer_state

    machine()
    config = mypt.GPTConfig(
        n_layer=12, n_head=12, n_embd=768, block_size=1024, tie_weights=True, head_bias=False
    )
    model = mypt.GPT(config, mypt.GPT(config).plugins.tokenizer("gpt2").train(""))
    optimizer = make_optimizer(model, mypt.TrainingConfig())
    for parameter in model.parameters():
        parameter.grad = parameter.detach() * 0
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        model.save_checkpoint_bundle(bundle, 1, optimizer_state(optimizer))
        size = sum(path.stat().st_size for path in bundle.iterdir())
        total = sum(p.numel() for p in model.parameters())
        print(f"{total:,} parameters, {size:,} bytes")
        validate = [sys.executable, "-m", "mypt.format", "validate", str(bundle)]
        other = [sys.executable, "-c", "import jsonschema"]
        compare(
            "validate",
            lambda: subprocess.run(validate, check=True, capture_output=True),
            lambda: subprocess.run(other, check=True),
            against="import jsonschema",
        )


if __name__ == "__main__":
    main()
