"""The texts that are being continued together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.inference.batching.running_text import make_ids
from mypt.engine.inference.batching.token_choice import take_next
from mypt.engine.runtime.out_of_memory import GENERATING, explain_oom
from mypt.model.decoding.joined_decoder import make_rows_decoder
from mypt.model.mode import evaluation_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from mypt.engine.inference.batching.running_text import RunningText
    from mypt.engine.language_model import LanguageModel


class Batch:
    """Texts of any lengths, to each of which a step adds one token.

    Those whose window slides, so that all their positions are new with each token, are computed
    anew in each step, those of one length together; the others have their keys and values cached.
    """

    def __init__(self, model: LanguageModel, max_rows: int) -> None:
        """Start without a text.

        Args:
            model: The model, whose weights must not change meanwhile.
            max_rows: Number of texts that there may be at once.
        """
        self._model = model
        self._decoder = make_rows_decoder(model, max_rows)
        self._device = next(model.parameters()).device
        self._longest = min(model.config.block_size, model.config.cacheable_length)
        self._joined: list[RunningText] = []  # in the order of the decoder's rows
        self._recomputed: list[RunningText] = []

    @property
    def texts(self) -> list[RunningText]:
        """All of them."""
        return [*self._joined, *self._recomputed]

    def add(self, text: RunningText) -> None:
        """Add a text, and its first token; an error ends it alone."""
        try:
            with explain_oom(GENERATING):
                self._add(text)
        except Exception as error:  # it is theirs who asked
            text.request.fail(error)

    @torch.inference_mode()
    def step(self) -> None:
        """Add a token to each text; those that have ended, or were cancelled, leave."""
        self._release()
        _advance(self._joined, self._decode)
        by_length: dict[int, list[RunningText]] = {}
        for text in self._recomputed:
            by_length.setdefault(len(text.window), []).append(text)
        for texts in by_length.values():
            _advance(texts, self._recompute)
        self._release()

    @torch.inference_mode()
    def _add(self, text: RunningText) -> None:
        ids = text.window
        if len(ids) > self._longest or not text.request.settings.use_cache:
            self._recomputed.append(text)
            return
        logits = self._decoder.join(make_ids(ids, self._device))
        self._joined.append(text)
        take_next([text], logits[None])

    def _decode(self, texts: Sequence[RunningText]) -> Tensor:
        last = [text.seen[-1] for text in texts]
        return self._decoder.next_logits(make_ids(last, self._device))

    def _recompute(self, texts: Sequence[RunningText]) -> Tensor:
        windows = torch.tensor([text.window for text in texts], device=self._device)
        with evaluation_mode(self._model):
            return self._model.next_logits(windows)

    def _release(self) -> None:
        """Let texts go that have ended, and those out of the cache that do not fit any more."""
        self._recomputed = [text for text in self._recomputed if not text.is_done]
        for row in reversed(range(len(self._joined))):
            text = self._joined[row]
            is_too_long = len(text.seen) > self._longest
            if not (text.is_done or is_too_long):
                continue
            self._decoder.leave(row)
            self._joined[row] = self._joined[-1]
            self._joined.pop()
            if not text.is_done:
                self._recomputed.append(text)


def _advance(
    texts: Sequence[RunningText], compute: Callable[[Sequence[RunningText]], Tensor]
) -> None:
    """Add a token to each of some texts; an error of the model ends all of these."""
    if not texts:
        return
    try:
        with explain_oom(GENERATING):
            logits = compute(texts)
    except Exception as error:  # it is theirs who asked
        for text in texts:
            text.request.fail(error)
    else:
        take_next(texts, logits)
