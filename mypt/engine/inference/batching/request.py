"""A text that was asked for: what the one who asked reads, and the batcher writes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from attrs import frozen

if TYPE_CHECKING:
    from mypt.engine.inference.continuation import GenerationSettings
    from mypt.engine.inference.prompt_ids import EncodedPrompt

FinishReason = Literal["stop", "length", "cancelled"]


class TokenLogProb(NamedTuple):
    """A token that could have come, and the natural logarithm of its probability."""

    id: int
    log_prob: float


@frozen
class Piece:
    """What was added to a text.

    The texts of all pieces together are the new text, and their ids its tokens.

    Attributes:
        text: Whole characters; never the beginning of a stop string. Only the last may be empty.
        ids: The tokens since the piece before, (N,); text may come later than its token.
        log_probs: Natural logarithm of the model's probability of each token, (N,), before
            temperature and the other sampling options; None if not requested.
        top_log_probs: The same of the likeliest tokens at each place, the likeliest first; None if
            not requested.
    """

    text: str
    ids: tuple[int, ...]
    log_probs: tuple[float, ...] | None = None
    top_log_probs: tuple[tuple[TokenLogProb, ...], ...] | None = None


class TextRequest(Iterator[Piece]):
    """A text that a `TextBatcher` continues; any thread may read it, and cancel it.

    As an iterator it waits for each piece. `take_pieces` does not wait: call it when `on_change`
    was called.

    Attributes:
        prompt: The prompt.
        settings: How it is continued; its seed is set.
        finish_reason: "stop" for a stop string or token, "length" for the limit of tokens, or
            "cancelled"; None until then, and where an error ended it.
        stopped_by: The stop string, or the stop token's text; None without.
        unfinished: The logit processors that the text is not whole for, such as `json_schema`.
        error: What ended it early; None without.
    """

    def __init__(
        self,
        prompt: EncodedPrompt,
        settings: GenerationSettings,
        on_change: Callable[[], object] | None = None,
    ) -> None:
        """Begin without a piece.

        Args:
            prompt: The prompt.
            settings: With a seed.
            on_change: Called whenever there is a piece, or the end; by the thread of the batcher,
                which it must not hold up. If it raises, the text ends with this error.
        """
        self.prompt = prompt
        self.settings = settings
        self.finish_reason: FinishReason | None = None
        self.stopped_by: str | None = None
        self.unfinished: tuple[str, ...] = ()
        self.error: BaseException | None = None
        self._on_change = on_change
        self._pieces: deque[Piece] = deque()
        self._changed = threading.Condition()
        self._is_done = False

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        """The tokens of the prompt."""
        return self.prompt.ids

    @property
    def seed(self) -> int:
        """The seed: with it, the same prompt and settings yield the same text."""
        return self.settings.sampling.seed or 0

    @property
    def is_done(self) -> bool:
        """Whether no piece will be added; there may be some that were not read."""
        return self._is_done

    def __next__(self) -> Piece:
        """Wait for the next piece and return it.

        Raises:
            StopIteration: There is none.
            Exception: What ended the text early, after the pieces before.
        """
        with self._changed:
            while not self._pieces and not self._is_done:
                self._changed.wait()
            if self._pieces:
                return self._pieces.popleft()
        if self.error is not None:
            raise self.error
        raise StopIteration

    def take_pieces(self) -> list[Piece]:
        """Return the pieces that were not read yet, without waiting.

        Raises:
            Exception: What ended the text early, where no piece is left.
        """
        with self._changed:
            taken = [*self._pieces]
            self._pieces.clear()
        if not taken and self.error is not None:
            raise self.error
        return taken

    def cancel(self) -> None:
        """End the text here; what was made can still be read. One that has ended stays as it is."""
        self.finish("cancelled")

    def put(self, piece: Piece) -> None:
        """Add a piece: for the batcher. One that has ended, since it was cancelled, takes none."""
        with self._changed:
            if self._is_done:
                return
            self._pieces.append(piece)
            self._changed.notify_all()
        self._call_back()

    def finish(self, reason: FinishReason, stopped_by: str | None = None) -> None:
        """End the text, unless it has ended."""
        self._end(reason, stopped_by, None)

    def fail(self, error: BaseException) -> None:
        """End the text with an error, unless it has ended."""
        self._end(None, None, error)

    def _end(
        self, reason: FinishReason | None, stopped_by: str | None, error: BaseException | None
    ) -> None:
        with self._changed:
            if self._is_done:
                return
            self._is_done = True
            self.finish_reason, self.stopped_by, self.error = reason, stopped_by, error
            self._changed.notify_all()
        self._call_back()

    def _call_back(self) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change()
        except Exception as error:
            self._on_change = None
            self.fail(error)
