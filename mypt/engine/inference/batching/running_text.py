"""A text while it is continued: its tokens, the numbers that decide them, and what to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import evolve

from mypt.engine.inference.batching.request import Piece, TokenLogProb
from mypt.engine.inference.text import make_number_drawer

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.engine.inference.batching.request import TextRequest
    from mypt.engine.inference.text import TextRow

# Numbers that are drawn at first; twice as many whenever they are used up.
FIRST_DRAWS = 64


class RunningText:
    """A text that is being continued.

    Attributes:
        request: Who asked for it, and how it is continued.
        seen: Its tokens as far as the model sees them or did so: the prompt's last ones, and those
            added.
        is_by_itself: Whether its tokens depend on those before them, beside by the model.
        chosen_like: Of two texts it is equal where their tokens are chosen alike, and not by
            themselves.
        is_checked: Whether the model's first logits were looked at.
    """

    def __init__(self, request: TextRequest, row: TextRow, block_size: int) -> None:
        """Begin after the prompt.

        Args:
            request: What was asked for.
            row: Its text, to which nothing was added.
            block_size: Number of tokens that the model sees.
        """
        self.request = request
        self.is_checked = False
        sampling, n_vocab = request.settings.sampling, request.settings.tokenizer.n_vocab
        self.is_by_itself = (
            bool(row.processors)
            or sampling.repetition_penalty != 1
            or sampling.no_repeat_ngram_size is not None
        )
        alike = evolve(sampling, seed=None, processors={}), n_vocab
        self.chosen_like: object = object() if self.is_by_itself else alike
        self._row = row
        self._block_size = block_size
        self.seen = [*row.window]
        self._draw = make_number_drawer([row], request.settings.sampling)
        self._draws: list[float] = []
        self._n_chosen = 0
        self._new: list[int] = []
        self._log_probs: list[float] = []
        self._top: list[tuple[TokenLogProb, ...]] = []
        if row.is_done:
            self._finish()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, or nobody wants it any more."""
        return self.request.is_done

    def process(self, logits: Tensor) -> Tensor:
        """Return what its next token is chosen by, (V,) float32; `logits` may be changed."""
        processors = self._row.processors
        return processors.apply(logits, self._row.ids) if processors else logits

    @property
    def window(self) -> list[int]:
        """The tokens that the model sees."""
        return self.seen[-self._block_size :]

    def next_draw(self) -> float:
        """Return the number that decides the next token, in [0, 1)."""
        if self._draw is None:
            return 0.0
        if self._n_chosen == len(self._draws):
            self._draws = self._draw(0, max(FIRST_DRAWS, 2 * self._n_chosen)).tolist()
        return self._draws[self._n_chosen]

    def take(self, token: int, logits: Tensor) -> None:
        """Take the token that was chosen, and hand on what can be shown.

        Args:
            token: Its id.
            logits: The model's logits that it was chosen by, (vocab_size,).
        """
        row = self._row
        self._n_chosen += 1
        self.seen.append(token)
        before = len(row.ids)
        text = row.take(token)
        if len(row.ids) > before:  # it is no stop token
            self._new.append(token)
            self._note_log_probs(token, logits)
        if text or (row.is_done and self._new):
            self.request.put(self._make_piece(text))
        if row.is_done:
            self._finish()

    def _finish(self) -> None:
        row = self._row
        self.request.unfinished = row.processors.list_unfinished(row.ids)
        self.request.finish("length" if row.stopped_by is None else "stop", row.stopped_by)

    def _note_log_probs(self, token: int, logits: Tensor) -> None:
        wanted = self.request.settings.wanted
        if not wanted.log_probs and not wanted.top_log_probs:
            return
        log_probs = logits.float().log_softmax(-1)
        if wanted.log_probs:
            self._log_probs.append(float(log_probs[token]))
        if wanted.top_log_probs:
            values, ids = log_probs.topk(min(wanted.top_log_probs, len(log_probs)))
            self._top.append(tuple(map(TokenLogProb, ids.tolist(), values.tolist())))

    def _make_piece(self, text: str) -> Piece:
        wanted = self.request.settings.wanted
        log_probs = tuple(self._log_probs) if wanted.log_probs else None
        top = tuple(self._top) if wanted.top_log_probs else None
        piece = Piece(text, tuple(self._new), log_probs, top)
        self._new, self._log_probs, self._top = [], [], []
        return piece


def make_ids(tokens: list[int], device: torch.device) -> Tensor:
    """Return ids as a tensor, (T,) int64."""
    return torch.tensor(tokens, dtype=torch.int64, device=device)
