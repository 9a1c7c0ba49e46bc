"""Continue texts for many who ask at the same time, by one thread that owns the model."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from mypt.engine.inference.batching.batch import Batch
from mypt.engine.inference.batching.request import TextRequest
from mypt.engine.inference.batching.running_text import RunningText
from mypt.engine.inference.text import begin_row, with_seed
from mypt.format.errors import MyptError, Problem
from mypt.format.rules.arguments import check_arguments, whole_number
from mypt.plugins.isolation import summarize_error

if TYPE_CHECKING:
    from collections.abc import Callable

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
        self._batch = Batch(model, self._max_rows)
        self._waiting: deque[RunningText] = deque()
        self._running: list[RunningText] = []
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
            return sum(not text.is_done for text in self._waiting)

    @property
    def n_running(self) -> int:
        """Number of texts that are being continued."""
        with self._changed:
            return sum(not text.is_done for text in self._running)

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
            ConfigError: As `begin_row`.
            DataError: As `begin_row`.
            PluginError: As `begin_row`.
        """
        text = self._begin_text(prompt, with_seed(settings), on_change)
        if text.is_done:
            return text.request
        with self._changed:
            if self._closed_by is not None:
                raise BatcherClosed(self._closed_by)
            self._waiting = deque(one for one in self._waiting if not one.is_done)
            free = self._max_rows - len(self._running)
            if len(self._waiting) >= self._max_waiting + free:
                what = f"are {self._max_waiting}, as many as may be"
                raise QueueFull(Problem("", "waiting texts", what, "ask again later"))
            self._waiting.append(text)
            self._changed.notify_all()
        return text.request

    def _begin_text(
        self, prompt: Prompt, settings: GenerationSettings, on_change: Callable[[], object] | None
    ) -> RunningText:
        row = begin_row(self._model, prompt, settings)
        request = TextRequest(row.prompt, settings, on_change)
        return RunningText(request, row, self._model.config.block_size)

    def close(self) -> None:
        """Cancel all texts and end the thread; closing it again has no effect."""
        with self._changed:
            if self._closed_by is None:
                self._closed_by = Problem("", "the batcher", "is closed", "make another")
            for text in (*self._waiting, *self._running):
                text.request.cancel()
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._wait_for_texts():
                self._batch.step()
        except BaseException as error:
            self._give_up(error)
            raise

    def _wait_for_texts(self) -> bool:
        """Wait until there is a text to continue, and let new ones join; False at the end."""
        with self._changed:
            self._running = self._batch.texts
            while not self._waiting and not self._running and self._closed_by is None:
                self._changed.wait()
            if self._closed_by is not None:
                return False
            joining = []
            while self._waiting and len(self._running) < self._max_rows:
                text = self._waiting.popleft()
                if not text.is_done:
                    joining.append(text)
                    self._running.append(text)
        for text in joining:
            self._batch.add(text)
        return True

    def _give_up(self, error: BaseException) -> None:
        """End all texts with an error: of the batcher, since those of texts are theirs alone."""
        with self._changed:
            what = f"has failed: {summarize_error(error)}"
            self._closed_by = Problem("", "the batcher", what, "report this, and make another")
            for text in (*self._waiting, *self._running):
                text.request.fail(BatcherClosed(self._closed_by))
