"""The objects that OpenAI's API answers with."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mypt.format.version import MYPT_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypt.engine.inference.batching.request import Piece, TextRequest
    from mypt.plugins import Tokenizer
    from mypt_serve.api.requests import TextsRequest
    from mypt_serve.settings import ServedModel

_LOWEST = -9999.0  # what OpenAI writes where a probability is too small for a number


def to_json(value: Any) -> bytes:
    """Return a JSON text in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@frozen
class TextSoFar:
    """A text as far as it was told."""

    pieces: list[Piece] = field(factory=list)

    @property
    def text(self) -> str:
        """The text."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def n_tokens(self) -> int:
        """Number of its tokens."""
        return sum(len(piece.ids) for piece in self.pieces)


class Forms:
    """Writes the answers to one request."""

    def __init__(self, served: ServedModel, asked: TextsRequest) -> None:
        """Begin an answer, with an id of its own."""
        self._served = served
        self._asked = asked
        self._tokenizer: Tokenizer = served.model.need_tokenizer()
        prefix, kind = ("chatcmpl", "chat.completion") if asked.is_chat else ("cmpl", "")
        self._kind = kind or "text_completion"
        self._common = {
            "id": f"{prefix}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": served.name,
            "system_fingerprint": f"mypt-{MYPT_VERSION}",
        }

    def whole(self, texts: Sequence[TextSoFar], requests: Sequence[TextRequest]) -> dict[str, Any]:
        """Return the answer that has all texts."""
        choices = []
        for number, (text, request) in enumerate(zip(texts, requests, strict=True)):
            said = self.read_answer(text.text)
            body: dict[str, Any] = {"text": said}
            if self._asked.is_chat:
                body = {"message": {"role": "assistant", "content": said, "refusal": None}}
            choices.append(
                {
                    "index": number,
                    **body,
                    "logprobs": self._log_probs(text.pieces, 0),
                    "finish_reason": request.finish_reason,
                }
            )
        return {**self._common, "object": self._kind, "choices": choices}

    def first_chunk(self, number: int) -> dict[str, Any]:
        """Return the chunk that says who speaks, in a conversation."""
        return self._chunk(number, {"delta": {"role": "assistant", "content": ""}})

    def chunk(
        self, number: int, said: str, piece: Piece, start: int, reason: str | None = None
    ) -> dict[str, Any]:
        """Return the chunk of a piece.

        Args:
            number: Number of its text.
            said: What is new of the text.
            piece: The piece.
            start: Where the piece begins in the text, in characters.
            reason: Why the text ended; None if it goes on.
        """
        body = {"delta": {"content": said}} if self._asked.is_chat else {"text": said}
        return self._chunk(number, body, self._log_probs([piece], start), reason)

    def last_chunk(self, number: int, reason: str | None) -> dict[str, Any]:
        """Return the chunk that says why a text ended."""
        return self._chunk(
            number, {"delta": {}} if self._asked.is_chat else {"text": ""}, None, reason
        )

    def usage_chunk(self, usage: dict[str, int]) -> dict[str, Any]:
        """Return the chunk with the numbers of tokens."""
        return {**self._common, "object": self._chunk_kind, "choices": [], "usage": usage}

    def read_answer(self, text: str) -> str:
        """Return what the assistant says, without what its template writes before it."""
        template = self._served.template
        return template.read_answer(text) if self._asked.is_chat and template else text

    @property
    def _chunk_kind(self) -> str:
        return "chat.completion.chunk" if self._asked.is_chat else self._kind

    def _chunk(
        self, number: int, body: dict[str, Any], log_probs: Any = None, reason: str | None = None
    ) -> dict[str, Any]:
        choice = {"index": number, **body, "logprobs": log_probs, "finish_reason": reason}
        made = {**self._common, "object": self._chunk_kind, "choices": [choice]}
        return {**made, "usage": None} if self._asked.streaming.with_usage else made

    def _log_probs(self, pieces: Sequence[Piece], start: int) -> dict[str, Any] | None:
        if self._asked.n_top is None:
            return None
        if self._asked.is_chat:
            content = [token for piece in pieces for token in self._chat_tokens(piece)]
            return {"content": content, "refusal": None}
        return self._completion_tokens(pieces, start)

    def _chat_tokens(self, piece: Piece) -> list[dict[str, Any]]:
        tops = piece.top_log_probs or ((),) * len(piece.ids)
        return [
            {
                **self._token(number, log_prob),
                "top_logprobs": [self._token(one.id, one.log_prob) for one in top],
            }
            for number, log_prob, top in zip(piece.ids, piece.log_probs or (), tops, strict=True)
        ]

    def _completion_tokens(self, pieces: Sequence[Piece], start: int) -> dict[str, Any]:
        tokens = [self._spell(number) for piece in pieces for number in piece.ids]
        offsets, place = [], start
        for token in tokens:
            offsets.append(place)
            place += len(token)
        tops = [top for piece in pieces for top in piece.top_log_probs or ()]
        return {
            "tokens": tokens,
            "token_logprobs": [
                max(log_prob, _LOWEST) for piece in pieces for log_prob in piece.log_probs or ()
            ],
            "top_logprobs": [
                {self._spell(one.id): max(one.log_prob, _LOWEST) for one in top} for top in tops
            ]
            if self._asked.n_top
            else None,
            "text_offset": offsets,
        }

    def _token(self, number: int, log_prob: float) -> dict[str, Any]:
        spelt = self._decode(number)
        return {
            "token": spelt.decode("utf-8", "replace"),
            "logprob": max(log_prob, _LOWEST),
            "bytes": [*spelt],
        }

    def _spell(self, number: int) -> str:
        return self._decode(number).decode("utf-8", "replace")

    def _decode(self, number: int) -> bytes:
        known = number < self._tokenizer.n_vocab
        return self._tokenizer.decode_bytes([number]) if known else b""
