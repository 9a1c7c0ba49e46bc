"""What `mypt generate` says of continuations and scores, as objects of JSON and as lines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.format.errors import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.engine.inference.continuation import Continuation
    from mypt.engine.inference.scoring import Score
    from mypt.plugins.contracts import Tokenizer


def describe_continuation(continuation: Continuation, tokenizer: Tokenizer) -> dict[str, Any]:
    """Describe a continuation; `probabilities` and `logits` are there if they were asked for."""
    described: dict[str, Any] = {
        "prompt": continuation.prompt,
        "text": continuation.text,
        "stopped_by": continuation.stopped_by,
        "seed": continuation.seed,
        "ids": list(continuation.ids),
        "tokens": _decode_each(continuation.ids, tokenizer),
    }
    if continuation.log_probs is not None:
        described["probabilities"] = _list_finite(map(math.exp, continuation.log_probs))
    if continuation.logits is not None:
        described["logits"] = [_list_finite(row) for row in continuation.logits.tolist()]
    return described


def describe_score(
    file: str, score: Score, float_loss: float | None, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """Describe a score.

    Args:
        file: What was scored.
        score: How well it was predicted.
        float_loss: Loss of the model before it was rounded to 8 bits, if it was.
        tokenizer: Tells every token and its probability, if given.
    """
    described: dict[str, Any] = {
        "file": file,
        "loss": _finite_or_none(score.loss),
        "perplexity": _finite_or_none(score.perplexity),
        "bits_per_byte": _finite_or_none(score.bits_per_byte),
        "predicted_tokens": len(score.losses),
        "block_size": score.block_size,
        "stride": score.stride,
    }
    if float_loss is not None:
        described["float_loss"] = _finite_or_none(float_loss)
    if tokenizer is not None:
        described["ids"] = list(score.ids)
        described["tokens"] = _decode_each(score.ids, tokenizer)
        probabilities = _list_finite(math.exp(-loss) for loss in score.losses)
        described["probabilities"] = [None, *probabilities]
    return described


def format_score(file: str, score: Score, float_loss: float | None) -> list[str]:
    """Describe a score for people; arguments as in `describe_score`."""
    predicted = format_count(len(score.losses), "predicted token")
    how = f"windows of {format_count(score.block_size, 'token')}, stride {score.stride}"
    beside = "" if float_loss is None else f", {score.loss - float_loss:+.4f} by 8-bit weights"
    return [
        f"{file}: {predicted}, in {how}",
        f"  loss          {score.loss:.4f} nats per token{beside}",
        f"  perplexity    {score.perplexity:,.3f}",
        f"  bits per byte {score.bits_per_byte:.4f}",
    ]


def _decode_each(ids: Iterable[int], tokenizer: Tokenizer) -> list[str]:
    return [tokenizer.decode([number]) for number in ids]


def _list_finite(values: Iterable[float]) -> list[float | None]:
    return [_finite_or_none(value) for value in values]


def _finite_or_none(value: float) -> float | None:
    """Give a number as JSON can say it: null for what is not finite."""
    return value if math.isfinite(value) else None
