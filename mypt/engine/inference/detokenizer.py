"""Decode tokens one by one, into whole characters and up to a stop string."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypt.plugins.contracts.tokenizer import Tokenizer


class Detokenizer:
    """Decodes tokens incrementally, releasing text as soon as it can be shown.

    Attributes:
        stopped_by: The stop string that was found, which is not part of the text; None before.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: Sequence[str] = (), *, begins_text: bool = False
    ) -> None:
        """Start with an empty text.

        Args:
            tokenizer: The tokenizer of the ids.
            stop: Strings that end the text; must not be empty.
            begins_text: Whether the tokens begin a text, and are not the continuation of one.
        """
        self._tokenizer = tokenizer
        self._stop = stop
        self._begins_text = begins_text
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""  # may be the beginning of a stop string
        self.stopped_by: str | None = None

    def feed(self, token: int) -> str:
        """Take the next token and return the text that can be shown now, which may be empty."""
        return self._release(self._decode(token))

    def pass_over(self, tokens: Iterable[int]) -> str:
        """Take tokens in which no stop string is looked for, and return their whole characters."""
        return "".join([self._decode(token) for token in tokens])

    def finish(self) -> str:
        """Return the text that was held back, at the end of the tokens."""
        shown = self._release(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return shown + held

    def _decode(self, token: int) -> str:
        added = self._tokenizer.decode_bytes([token])
        if self._begins_text:
            self._begins_text = not added
            alone = self._tokenizer.decode([token]).encode()
            if added.endswith(alone):  # without what joins it to a text before it
                added = alone
        return self._decoder.decode(added)

    def _release(self, text: str) -> str:
        if self.stopped_by is not None:
            return ""
        text, self._held = self._held + text, ""
        found = [(text.find(stop), stop) for stop in self._stop if stop in text]
        if found:
            end, self.stopped_by = min(found)
            return text[:end]
        end = len(text) - max((_count_begun(text, stop) for stop in self._stop), default=0)
        self._held = text[end:]
        return text[:end]


def _count_begun(text: str, stop: str) -> int:
    """Count the characters at the end of `text` that may be the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
