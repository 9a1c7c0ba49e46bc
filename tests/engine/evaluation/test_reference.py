import numpy as np
import pytest
import torch

from mypt.data.batches.episodes import EpisodeSource
from mypt.data.dataset import EpisodeArrays
from mypt.engine.evaluation import reference
from mypt.engine.evaluation.reference import measure_answers
from mypt.engine.language_model import LanguageModel
from mypt.format.documents.config import GPTConfig

SIZES = (5, 9, 7)


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_each_answer_is_measured_as_it_is_alone(rows, monkeypatch):
    config = GPTConfig(block_size=8, vocab_size=9, n_embd=8, n_head=2, n_layer=1, dropout=0.5)
    model = LanguageModel(config).train()
    ids = [np.arange(size, dtype=np.uint32) % 9 for size in SIZES]
    starts = np.cumsum([0, *SIZES[:-1]])
    mask = np.concatenate([np.arange(size) >= 3 for size in SIZES]).astype(np.uint8)
    spans = np.stack([starts, SIZES], axis=1).astype(np.int64)
    answers = EpisodeSource([EpisodeArrays(np.concatenate(ids), spans, mask)])
    monkeypatch.setattr(reference, "ROWS", rows)
    measured = measure_answers(model, answers)
    assert model.training
    model.eval()
    for one, found in zip(ids, measured, strict=True):
        idx = torch.tensor(one.astype(np.int64))[None]
        log_probs = model(idx[:, :-1]).log_softmax(-1).gather(2, idx[:, 1:, None])
        assert found == pytest.approx(float(log_probs[0, 2:].sum().detach()), abs=1e-4)
