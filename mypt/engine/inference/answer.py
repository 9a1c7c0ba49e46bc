"""An answer in a conversation, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypt.chat.template import ChatTemplate
    from mypt.engine.inference.text import TextStream
    from mypt.model.decoding.prefix_cache import PrefixCache


class Answer(Iterator[str]):
    """The pieces of an answer, as an iterator; at its end it is part of the conversation.

    Attributes:
        prompt_ids: The tokens that it follows: what the model sees of the conversation.
        seed: The seed that its tokens are drawn with.
        reused: How many of `prompt_ids` the model did not have to compute again; known with the
            first piece.
    """

    def __init__(
        self,
        pieces: TextStream,
        template: ChatTemplate,
        prompt_ids: Sequence[int],
        seed: int,
        prefix: PrefixCache,
        keep: Callable[[str | None], None],
    ) -> None:
        """Begin with no piece made.

        Args:
            pieces: Makes the pieces.
            template: Reads what is said in them.
            prompt_ids: See above.
            seed: See above.
            prefix: What `pieces` uses.
            keep: Called at the end with the text, or with None if there is to be no answer.
        """
        self.prompt_ids, self.seed = tuple(prompt_ids), seed
        self._pieces, self._template = pieces, template
        self._prefix, self._keep = prefix, keep
        self.reused = 0
        self._is_over = False
        self._text = ""
        self._held = ""  # space, which may be the template's own

    def __next__(self) -> str:
        """Return the next piece; what ends it early, such as Ctrl-C, leaves it as far as it got."""
        piece = ""
        try:
            while not piece:
                piece = self._read(next(self._pieces))
        except StopIteration:
            self._end(self._text)
            raise
        except BaseException:
            self.close()
            raise
        self._text += piece
        self.reused = self._prefix.reused
        return piece

    def close(self) -> None:
        """End the answer here; one that has not begun takes its question with it."""
        self._pieces.close()
        self._end(self._text or None)

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens so far, without one that ended it."""
        return tuple(self._pieces.ids[len(self.prompt_ids) :])

    @property
    def stopped_by(self) -> str | None:
        """What ended it: the text of a token or a stop string; None for the token limit."""
        return self._pieces.stopped_by

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The logit processors that it is not whole for, such as `json_schema`."""
        return self._pieces.unfinished

    def _read(self, piece: str) -> str:
        """Return what can be shown of what was written."""
        if self._text:
            return piece
        self._held += piece
        return "" if self._held.isspace() else self._template.read_answer(self._held)

    def _end(self, text: str | None) -> None:
        if not self._is_over:
            self._is_over, self.reused = True, self._prefix.reused
            self._keep(text)
