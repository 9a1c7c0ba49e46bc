"""Continue texts for many who ask at the same time, by one thread that owns the model."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Self

import torch

from mypt.engine.inference.batching.request import Piece, TextRequest, TokenLogProb
from mypt.engine.inference.logit_processing import prepare_processing
from mypt.engine.inference.prompt_ids import encode_prompt
from mypt.engine.inference.text import (
    TextRow,
    ensure_no_nan,
    make_number_drawer,
    process_logits,
    with_seed,
)
from mypt.engine.runtime.out_of_memory import GENERATING, explain_oom
from mypt.format.errors import MyptError, Problem
from mypt.format.rules.arguments import check_arguments, whole_number
from mypt.model.decoding.generate import steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.engine.inference.continuation import GenerationSettings
    from mypt.engine.inference.prompt_ids import Prompt
    from mypt.engine.language_model import LanguageModel


class QueueFull(MyptError):  # noqa: N818  # as queue.Full
    """As many texts wait as may."""


class BatcherClosed(MyptError):  # noqa: N818
    """The batcher takes no more texts, since it was closed, or its thread failed."""


class TextBatcher:
    """Continues the texts of many requests, each as if it were alone.

    A context manager. One thread does all the work; it waits without a cost while there is none.
    The weights of the model must not change meanwhile.
    """

    def __init__(self, model: LanguageModel, *, max_rows: int = 8, max_waiting: int = 64) -> None:
        """Start the thread.

        Args:
            model: The model.
            max_rows: Texts that are continued at once, 1 or more.
            max_waiting: Texts that may wait for a row, 0 or more.

        Raises:
            ConfigError: A number is of another type or out of range.
        """
        counts = check_arguments(
            max_rows=(max_rows, whole_number(1)), max_waiting=(max_waiting, whole_number(0))
        )
        self._model = model
        self._max_rows: int = counts["max_rows"]
        self._max_waiting: int = counts["max_waiting"]
        self._waiting: deque[TextRequest] = deque()
        self._running: list[TextRequest] = []
        self._changed = threading.Condition()
        self._closed_by: Problem | None = None
        self._thread = threading.Thread(target=self._run, name="mypt-batcher", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def n_waiting(self) -> int:
        """Number of texts that wait for a row."""
        with self._changed:
            return sum(not request.is_done for request in self._waiting)

    @property
    def n_running(self) -> int:
        """Number of texts that are being continued."""
        with self._changed:
            return sum(not request.is_done for request in self._running)

    def submit(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        on_change: Callable[[], object] | None = None,
    ) -> TextRequest:
        """Ask for the continuation of a prompt.

        Args:
            prompt: Text to continue, or the ids of its tokens, which are continued as they are.
            settings: How to continue it; without a seed, one is drawn. `wanted.logits` is not
                looked at.
            on_change: See `TextRequest`.

        Raises:
            QueueFull: `max_waiting` texts wait already.
            BatcherClosed: It was closed, or its thread failed.
            ConfigError: The prompt is refused; see `encode_prompt`.
            DataError: As `encode_prompt`.
        """
        model = self._model
        encoded = encode_prompt(
            settings.tokenizer,
            prompt,
            model.config.vocab_size,
            model.begin_ids,
            read_special_tokens=settings.read_special_tokens,
        )
        request = TextRequest(encoded, with_seed(settings), on_change)
        with self._changed:
            if self._closed_by is not None:
                raise BatcherClosed(self._closed_by)
            self._waiting = deque(one for one in self._waiting if not one.is_done)
            free = self._max_rows - len(self._running)
            if len(self._waiting) >= self._max_waiting + free:
                what = f"are {self._max_waiting}, as many as may be"
                raise QueueFull(Problem("", "waiting texts", what, "ask again later"))
            self._waiting.append(request)
            self._changed.notify_all()
        return request

    def close(self) -> None:
        """Cancel all texts and end the thread; closing it again has no effect."""
        with self._changed:
            if self._closed_by is None:
                self._closed_by = Problem("", "the batcher", "is closed", "make another")
            for request in (*self._waiting, *self._running):
                request.cancel()
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._running = []
                while not self._waiting and self._closed_by is None:
                    self._changed.wait()
                if self._closed_by is not None:
                    return
                request = self._waiting.popleft()
                self._running = [request]
            try:
                self._continue_text(request)
            except Exception as error:  # it is theirs who asked
                request.fail(error)

    def _continue_text(self, request: TextRequest) -> None:
        settings, model = request.settings, self._model
        processors = prepare_processing(model, settings).begin(request.prompt.ids)
        row = TextRow(request.prompt, settings, processors, model.config.block_size)
        made = steps(
            model,
            [torch.tensor(row.window, device=next(model.parameters()).device)],
            settings.ending.max_new_tokens,
            settings.sampling,
            draw=make_number_drawer([row], settings.sampling),
            allowed_vocab=settings.tokenizer.n_vocab,
            use_cache=settings.use_cache,
            process=partial(process_logits, [row]) if row.processors else None,
        )
        given, noted = 0, _Noted(settings)
        with explain_oom(GENERATING):
            for step in ensure_no_nan(made):
                if request.is_done:
                    return
                token = int(step.ids)
                text = row.take(token)
                if len(row.ids) > noted.count:
                    noted.add(step.logits[0], token)
                if text or (row.is_done and len(row.ids) > given):
                    request.put(noted.piece(text, tuple(row.ids[given:])))
                    given = len(row.ids)
                if row.is_done:
                    break
        request.finish("length" if row.stopped_by is None else "stop", row.stopped_by)


class _Noted:
    """The log probabilities of tokens that are not in a piece yet."""

    def __init__(self, settings: GenerationSettings) -> None:
        self.count = 0
        self._wanted = settings.wanted
        self._log_probs: list[float] = []
        self._top: list[tuple[TokenLogProb, ...]] = []

    def add(self, logits: Tensor, token: int) -> None:
        self.count += 1
        wanted = self._wanted
        if not wanted.log_probs and not wanted.top_log_probs:
            return
        log_probs = logits.float().log_softmax(-1)
        self._log_probs.append(float(log_probs[token]))
        if wanted.top_log_probs:
            values, ids = log_probs.topk(min(wanted.top_log_probs, len(log_probs)))
            self._top.append(tuple(map(TokenLogProb, ids.tolist(), values.tolist())))

    def piece(self, text: str, ids: tuple[int, ...]) -> Piece:
        wanted = self._wanted
        log_probs = tuple(self._log_probs) if wanted.log_probs else None
        top = tuple(self._top) if wanted.top_log_probs else None
        self._log_probs, self._top = [], []
        return Piece(text, ids, log_probs, top)
