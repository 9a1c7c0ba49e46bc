"""Choose the next token of several texts, each by its own settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.inference.text import ensure_no_nan
from mypt.model.decoding.sampling import IMPOSSIBLE, choose_ids

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from mypt.engine.inference.batching.running_text import RunningText


def take_next(texts: Sequence[RunningText], logits: Tensor) -> None:
    """Choose the next token of each text and let the text take it.

    What goes wrong with one text ends only this one.

    Args:
        texts: The texts.
        logits: The logits of each, (B, vocab_size).
    """
    for rows in _group(texts):
        group = [texts[row] for row in rows]
        try:
            chosen = _choose(group, logits if len(rows) == len(texts) else logits[rows])
        except Exception as error:  # it is theirs who asked
            for text in group:
                text.request.fail(error)
            continue
        for row, text, token in zip(rows, group, chosen, strict=True):
            try:
                text.take(token, logits[row])
            except Exception as error:  # of a tokenizer, for example
                text.request.fail(error)


def _group(texts: Sequence[RunningText]) -> Collection[list[int]]:
    """Return the rows of texts whose tokens are chosen alike, each row once."""
    groups: dict[object, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(text.chosen_like, []).append(row)
    return groups.values()


def _choose(texts: Sequence[RunningText], logits: Tensor) -> list[int]:
    """Choose the next token of texts with the same settings but for their seeds."""
    for text, row in zip(texts, logits, strict=True):
        if not text.is_checked:
            ensure_no_nan(row)
            text.is_checked = True
    settings = texts[0].request.settings
    sampling, n_vocab = settings.sampling, settings.tokenizer.n_vocab
    draws = torch.tensor([text.next_draw() for text in texts], device=logits.device)
    if not texts[0].is_by_itself:
        no_window = logits.new_empty(len(texts), 0, dtype=torch.int64)
        return choose_ids(logits[:, :n_vocab], no_window, sampling, draws).tolist()
    (text,) = texts
    logits = logits.to(torch.float32, copy=True)
    logits[:, n_vocab:] = IMPOSSIBLE
    logits = text.process(logits[0])[None]
    window = torch.tensor([text.window], device=logits.device)
    return choose_ids(logits, window, sampling, draws).tolist()
