"""Continuations and scores as JSON objects and as lines of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mypt.cli.generation.rounding import NAMES
from mypt.format.errors import format_count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypt.engine.inference.continuation import Continuation
    from mypt.engine.inference.scoring import Score
    from mypt.plugins.contracts.tokenizer import Tokenizer


def describe_continuation(continuation: Continuation, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a continuation as a JSON object, with probabilities and logits if requested."""
    described: dict[str, Any] = {
        "prompt": continuation.prompt,
        "text": continuation.text,
        "stopped_by": continuation.stopped_by,
        "seed": continuation.seed,
        "ids": list(continuation.ids),
        "tokens": _decode_each(continuation.ids, tokenizer),
    }
    if continuation.unfinished:
        described["unfinished"] = list(continuation.unfinished)
    if continuation.log_probs is not None:
        described["probabilities"] = _list_finite(map(math.exp, continuation.log_probs))
    if continuation.logits is not None:
        described["logits"] = [_list_finite(row) for row in continuation.logits.tolist()]
    return described


def describe_score(
    file: str, score: Score, float_loss: float | None, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """Return a score as a JSON object.

    Args:
        file: The file that was scored.
        score: Its score.
        float_loss: Loss in float32, if the weights were rounded.
        tokenizer: If given, each token and its probability are included.
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


def format_score(
    file: str, score: Score, float_loss: float | None, rounding: str | None
) -> list[str]:
    """Return a score as lines of text.

    Args:
        file: As in `describe_score`.
        score: As in `describe_score`.
        float_loss: As in `describe_score`.
        rounding: How the weights were rounded; see `mypt.cli.generation.rounding`.
    """
    predicted = format_count(len(score.losses), "predicted token")
    how = f"windows of {format_count(score.block_size, 'token')}, stride {score.stride}"
    beside = ""
    if float_loss is not None and rounding is not None:
        beside = f", {score.loss - float_loss:+.4f} by {NAMES[rounding]}"
    return [
        f"{file}: {predicted}, in {how}",
        f"  loss          {score.loss:.4f} nats per token{beside}",
        f"  perplexity    {score.perplexity:,.3f}",
        f"  bits per byte {score.bits_per_byte:.4f}",
    ]


def _decode_each(ids: Iterable[int], tokenizer: Tokenizer) -> list[str]:
    """Return what each token adds to the text before it."""
    return [tokenizer.decode_bytes([number]).decode("utf-8", "replace") for number in ids]


def _list_finite(values: Iterable[float]) -> list[float | None]:
    return [_finite_or_none(value) for value in values]


def _finite_or_none(value: float) -> float | None:
    """Return a number, or None if it is not finite, which JSON cannot express."""
    return value if math.isfinite(value) else None
