"""One update of mypt's trainer, beside the same model in a plain PyTorch loop."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from interleaved import compare, machine

import mypt
from mypt.engine.broadcast import Broadcast
from mypt.engine.optimizer import make_optimizer
from mypt.engine.trainer import Trainer
from mypt.format.documents import TrainingState

SHAPES = {
    "char": {"n_layer": 4, "n_head": 6, "n_embd": 192, "block_size": 128, "batch_size": 24},
    "tiny, gpt2": {"n_layer": 4, "n_head": 4, "n_embd": 192, "block_size": 128, "batch_size": 8},
}


def main() -> None:
    """Compare each shape; both sides draw batches from the same text."""
    machine()
    text = Path(torch.__file__).read_text(encoding="utf-8")
    for name, shape in SHAPES.items():
        kind = "gpt2" if "gpt2" in name else "char"
        ours, plain = _ours(shape, kind, text), _plain(shape, kind, text)
        compare(name, ours, plain, against="plain loop", rounds=21)


def _parts(shape, kind, text):
    plugins = mypt.GPT(mypt.GPTConfig(n_layer=0, n_embd=2, n_head=1, vocab_size=2)).plugins
    tokenizer = plugins.tokenizer(kind).train(text)
    config = mypt.GPTConfig(**shape, vocab_size=tokenizer.vocab_size, dropout=0.0)
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    return model, mypt.GPTDataLoader(config, tokenizer, text=text)


def _ours(shape, kind, text):
    model, loader = _parts(shape, kind, text)
    state = TrainingState(step=0, training_config=mypt.TrainingConfig(max_iters=10**6))
    trainer = Trainer(
        model,
        make_optimizer(model, state.training_config),
        loader,
        state,
        broadcast=Broadcast({}),
        guards={},
        eval_loaders={},
        writer=None,
    )
    return trainer.update


def _plain(shape, kind, text):
    """The loop that most people write: stacked slices, full logits, torch's default AdamW."""
    model, loader = _parts(shape, kind, text)
    data = torch.tensor(loader.tokenizer.encode(text))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch, length = shape["batch_size"], shape["block_size"]

    def update() -> None:
        starts = torch.randint(len(data) - length, (batch,))
        x = torch.stack([data[i : i + length] for i in starts])
        y = torch.stack([data[i + 1 : i + 1 + length] for i in starts])
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return update


if __name__ == "__main__":
    sys.exit(main())
