"""Texts as vectors: the last hidden states of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen

from mypt.engine.inference.padded_batches import batch_by_length, compute_padded, take_chunks
from mypt.engine.inference.prompt_ids import encode_prompts
from mypt.engine.inference.scoring import windows
from mypt.engine.runtime.out_of_memory import SCORING, explain_oom
from mypt.model.mode import evaluation_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from mypt.engine.inference.prompt_ids import Prompt
    from mypt.engine.language_model import LanguageModel

MEAN, LAST = "mean", "last"


@frozen
class _Window:
    """A part of a text that one pass reads.

    Attributes:
        text: Number of the text.
        ids: 1 to block_size ids.
        new: How many at its end no earlier window had.
    """

    text: int
    ids: tuple[int, ...]
    new: int


def embed(model: LanguageModel, texts: Iterable[Prompt], pool: str, batch_size: int) -> Tensor:
    """Return a vector for each text, (N, n_embd) float32 on the CPU; see `GPT.embed`."""
    encoded = encode_prompts(
        model.tokenizer_or_ids(), texts, model.config.vocab_size, model.begin_ids
    )
    vectors = torch.zeros(len(encoded), model.config.n_embd, dtype=torch.float64)
    all_windows = (
        window
        for number, one in enumerate(encoded)
        for window in _cut(number, one.ids, model.config.block_size, pool)
    )
    for chunk in take_chunks(all_windows, batch_size):
        for batch in batch_by_length(chunk, lambda window: len(window.ids), batch_size):
            for window, states in zip(batch, _embed_windows(model, batch), strict=True):
                vectors[window.text] += states
    if pool == MEAN:
        vectors /= torch.tensor([len(one.ids) for one in encoded])[:, None]
    return vectors.float()


def _cut(number: int, ids: tuple[int, ...], block_size: int, pool: str) -> Iterator[_Window]:
    if pool == LAST:
        yield _Window(number, ids[-block_size:], 1)
        return
    for window, new in windows(len(ids), block_size, max(1, block_size // 2)):
        yield _Window(number, ids[window], new)


@explain_oom(SCORING)
@torch.inference_mode()
def _embed_windows(model: LanguageModel, batch: Sequence[_Window]) -> list[Tensor]:
    """Return of each window the sum of the states of its new positions, (n_embd,) float64."""
    with evaluation_mode(model):
        hidden = compute_padded(model, [window.ids for window in batch])
    sums = [row[-one.new :].double().sum(0) for row, one in zip(hidden, batch, strict=True)]
    return list(torch.stack(sums).cpu())
