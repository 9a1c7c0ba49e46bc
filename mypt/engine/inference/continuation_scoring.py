"""How likely continuations are after their prompts, many at once."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from attrs import field, frozen

from mypt.engine.inference.padded_batches import batch_by_length, compute_padded, take_chunks
from mypt.engine.inference.prompt_ids import (
    TEXT_OR_IDS,
    check_vocabulary,
    count_begin,
    encode_given,
    encode_prompt,
)
from mypt.engine.inference.scoring import CHUNK_ROWS, windows
from mypt.engine.runtime.out_of_memory import SCORING, explain_oom
from mypt.format.errors import DataError, Problem
from mypt.format.rules.arguments import check_arguments
from mypt.model.mode import evaluation_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from mypt.engine.inference.prompt_ids import Prompt
    from mypt.engine.language_model import LanguageModel


@frozen(kw_only=True)
class ContinuationScore:
    """How likely a continuation is after its prompt.

    Attributes:
        log_likelihood: Natural logarithm of its probability, the sum of `log_probs`.
        is_greedy: Whether each of its tokens is the likeliest at its place, as at temperature 0.
        bits_per_byte: Bits of its tokens per UTF-8 byte of its text, by which models of different
            vocabularies can be compared; NaN for no text.
        prompt_ids: The tokens before it.
        ids: Its tokens, (N,).
        log_probs: Natural logarithm of the probability of each, (N,).
    """

    log_likelihood: float
    is_greedy: bool
    bits_per_byte: float
    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    log_probs: tuple[float, ...]


@frozen
class EncodedPair:
    """A prompt and its continuation, as ids.

    Attributes:
        prompt_ids: At least one.
        ids: Those of the continuation, at least one.
        size_bytes: UTF-8 bytes of the continuation.
    """

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    size_bytes: int


@frozen(eq=False)
class _Window:
    """What one pass computes of a pair.

    Attributes:
        pair: Number of the pair.
        inputs: What the model reads, 1 to block_size ids.
        targets: The ids that follow the last of them, as many as are scored.
    """

    pair: int
    inputs: tuple[int, ...]
    targets: tuple[int, ...]


@frozen
class _Found:
    """What has been computed of a pair, in the order of its tokens."""

    log_probs: list[float] = field(factory=list)
    is_greedy: list[bool] = field(factory=list)


def encode_pair(
    model: LanguageModel,
    prompt: Prompt,
    continuation: Prompt,
    *,
    read_special_tokens: bool = False,
) -> EncodedPair:
    """Encode a prompt and its continuation.

    The tokens are those of the whole text where those of the prompt begin it; else, where a token
    would be part of both, those of each by itself. Ids are taken as they are.

    Raises:
        ConfigError: One of them is neither a text nor ids, or has an id that the model lacks.
        DataError: The continuation has no token, or the vocabulary lacks a character.
    """
    tokenizer, vocab_size = model.tokenizer_or_ids(), model.config.vocab_size
    given = check_arguments(continuation=(continuation, TEXT_OR_IDS))["continuation"]
    encode = partial(encode_given, tokenizer, read_special_tokens=read_special_tokens)
    before = encode_prompt(
        tokenizer, prompt, vocab_size, model.begin_ids, read_special_tokens=read_special_tokens
    )
    if not isinstance(given, str):
        check_vocabulary("continuation", given, vocab_size)
        ids, size_bytes = tuple(given), len(tokenizer.decode_bytes(given))
    else:
        size_bytes, ids = _count_bytes(given), ()
        if isinstance(prompt, str):
            whole = (*model.begin_ids, *encode(prompt + given))
            if whole[: len(before.ids)] == before.ids:
                ids = whole[len(before.ids) :]
        ids = ids or tuple(encode(given))
    if not ids:
        fix = "give at least one token to score"
        raise DataError(Problem("", "continuation", "is empty", fix, kind="data.text"))
    return EncodedPair(before.ids, ids, size_bytes)


def encode_whole(
    model: LanguageModel, text: str, *, read_special_tokens: bool = False
) -> EncodedPair:
    """Encode a text to score as a whole: all tokens but the first, unless that begins every text.

    Raises:
        DataError: Nothing is left to score, or the vocabulary lacks a character.
    """
    tokenizer = model.tokenizer_or_ids()
    encoded = encode_given(tokenizer, text, read_special_tokens=read_special_tokens)
    ids = (*model.begin_ids, *encoded)
    first = max(1, count_begin(ids, model.begin_ids))
    if len(ids) <= first:
        fix = "give a text of two or more tokens"
        raise DataError(Problem("", "text", "is too short to score", fix, kind="data.text"))
    is_whole = bool(model.begin_ids)
    size_bytes = _count_bytes(text) if is_whole else len(tokenizer.decode_bytes(ids[first:]))
    return EncodedPair(ids[:first], ids[first:], size_bytes)


def _count_bytes(text: str) -> int:
    """Return the UTF-8 bytes of a text; half a character has those of U+FFFD, read in its place."""
    return len(text.encode("utf-8", "surrogatepass"))


def score_pairs(
    model: LanguageModel, pairs: Iterable[EncodedPair], batch_size: int
) -> Iterator[ContinuationScore]:
    """Score continuations, `batch_size` at once; each as it is alone, and in order.

    Memory does not grow with the number of pairs.
    """
    for chunk in take_chunks(pairs, batch_size):
        block_size = model.config.block_size
        cut = [part for n, pair in enumerate(chunk) for part in _cut(n, pair, block_size)]
        answers: dict[_Window, tuple[list[float], list[bool]]] = {}
        for batch in batch_by_length(cut, lambda window: len(window.inputs), batch_size):
            answers |= zip(batch, _score_windows(model, batch), strict=True)
        found = [_Found() for _ in chunk]
        for window in cut:
            log_probs, is_greedy = answers[window]
            found[window.pair].log_probs.extend(log_probs)
            found[window.pair].is_greedy.extend(is_greedy)
        for pair, one in zip(chunk, found, strict=True):
            yield _describe(pair, one)


def _cut(number: int, pair: EncodedPair, block_size: int) -> Iterator[_Window]:
    """Yield the windows of a pair: one with as much of the prompt as it holds, if that is enough.

    A continuation that is longer than a window is read in several, half a window apart.
    """
    ids = (*pair.prompt_ids, *pair.ids)
    if len(pair.ids) <= block_size:
        yield _Window(number, ids[:-1][-block_size:], pair.ids)
        return
    first = len(pair.prompt_ids) - 1  # the position that predicts the first token of it
    for window, new in windows(len(ids) - 1, block_size, max(1, block_size // 2)):
        scored = min(new, window.stop - first)
        if scored > 0:
            targets = ids[window.stop - scored + 1 : window.stop + 1]
            yield _Window(number, ids[window], targets)


@explain_oom(SCORING)
@torch.inference_mode()
def _score_windows(
    model: LanguageModel, batch: Sequence[_Window]
) -> list[tuple[list[float], list[bool]]]:
    """Return of each window the log probability of each target, and whether it is the likeliest."""
    with evaluation_mode(model):
        hidden = compute_padded(model, [window.inputs for window in batch])
        counts = [len(window.targets) for window in batch]
        rows = torch.cat([row[-count:] for row, count in zip(hidden, counts, strict=True)])
        targets = torch.tensor([number for window in batch for number in window.targets])
        log_probs, is_greedy = _score_rows(model, rows, targets.to(rows.device))
    return [
        (one.tolist(), other.tolist())
        for one, other in zip(
            torch.split(log_probs, counts), torch.split(is_greedy, counts), strict=True
        )
    ]


def _score_rows(model: LanguageModel, rows: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Score some rows at a time, so that the logits of all never exist: rows (N, n_embd)."""
    n_vocab = model.tokenizer_or_ids().n_vocab  # ids from there on are never chosen
    log_probs, is_greedy = [], []
    for first in range(0, len(rows), CHUNK_ROWS):
        chunk = slice(first, first + CHUNK_ROWS)
        logits = model.lm_head(rows[chunk]).float()
        own = logits.log_softmax(-1).gather(1, targets[chunk, None])[:, 0]
        log_probs.append(own)
        is_greedy.append(logits[:, :n_vocab].argmax(-1) == targets[chunk])
    return torch.cat(log_probs).cpu(), torch.cat(is_greedy).cpu()


def _describe(pair: EncodedPair, found: _Found) -> ContinuationScore:
    total = math.fsum(found.log_probs)
    return ContinuationScore(
        log_likelihood=total,
        is_greedy=all(found.is_greedy),
        bits_per_byte=-total / math.log(2) / pair.size_bytes if pair.size_bytes else math.nan,
        prompt_ids=pair.prompt_ids,
        ids=pair.ids,
        log_probs=tuple(found.log_probs),
    )
