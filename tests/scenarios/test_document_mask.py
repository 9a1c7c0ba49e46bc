"""Runs whose attention does not cross from one document to another."""

import json
from pathlib import Path

import pytest
import torch

from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError
from mypt.model.transformer import Transformer

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "its",
    "dog",
    "saw",
    "it",
    "run",
    "over",
    "hills",
]
FLAGS = {
    "tokenization": "gpt2",
    "input_file": "texts.jsonl",
    "vocab_size": 50304,
    "n_embd": 8,
    "n_head": 2,
    "n_layer": 1,
    "block_size": 16,
    "batch_size": 4,
    "pos_encoding": "rope",
    "dropout": 0.0,
    "eval_interval": 4,
    "eval_iters": 2,
}
END = 50256


@pytest.fixture
def texts(in_tmp):
    lines = [json.dumps({"text": " ".join(WORDS[i % 13 : i % 13 + 3 + i % 4])}) for i in range(200)]
    (in_tmp / "texts.jsonl").write_text("\n".join(lines) + "\n")


def test_the_losses_are_those_of_each_document_alone(texts, train, logged):
    """The first evaluation measures the weights of the seed, here over each document by itself."""
    train("crossing", max_iters=1, **FLAGS)
    train("masked", max_iters=1, document_mask=True, **FLAGS)
    first = {name: logged(name, "eval")[0]["val_loss"] for name in ("crossing", "masked")}
    assert abs(first["crossing"] - first["masked"]) > 1e-5

    measured = []
    loss = Transformer.loss

    def loss_by_document(self, idx, targets, *_, **__):
        """Take the rows apart after each end of a document."""
        whole, parts = idx.numel(), []
        for row, wanted in zip(idx, targets, strict=True):
            begin = 0
            for place in [*(i + 1 for i, n in enumerate(row.tolist()) if n == END), len(row)]:
                if place > begin:
                    found = loss(self, row[None, begin:place], wanted[None, begin:place])
                    parts.append(found * (place - begin) / whole)
                begin = place
        measured.append(len(parts))
        return sum(parts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transformer, "loss", loss_by_document)
        train("apart", max_iters=1, **FLAGS)
    assert max(measured) > 4 * 2  # several documents in a row
    assert logged("apart", "eval")[0]["val_loss"] == pytest.approx(first["masked"], abs=2e-6)
    apart, masked = (
        read_bundle(Path("checkpoints") / name).weights() for name in ("apart", "masked")
    )
    for name, tensor in masked.items():
        torch.testing.assert_close(apart[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_stopped_run_goes_on_exactly_and_another_mask_is_said(texts, train, stop_at, digests):
    train("whole", max_iters=8, document_mask=True, activation_checkpointing=True, **FLAGS)
    stop_at(5)
    train("parts", max_iters=8, document_mask=True, **FLAGS)
    stop_at(None)
    train("parts", max_iters=8, **FLAGS)
    assert digests("parts") == digests("whole")
    train("parts", max_iters=12, document_mask=False, **FLAGS)
    reasons = read_bundle(Path("checkpoints/parts")).training_state.inexact_reasons
    assert "step 8: document_mask changed from True to False" in reasons


def test_a_tokenizer_without_an_end_of_text_is_refused_before_anything_is_written(train, in_tmp):
    with pytest.raises(
        ConfigError, match=r"document_mask: needs a tokenizer with the token <\|endo"
    ):
        train(document_mask=True)
    assert not (in_tmp / "checkpoints").exists()
