"""Measure how well a model predicts a text, in windows if the text is longer than one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from attrs import evolve, frozen

from mypt.engine.inference.prompt_ids import (
    TEXT_OR_IDS,
    check_vocabulary,
    count_begin,
    encode_given,
)
from mypt.engine.runtime.out_of_memory import SCORING, explain_oom
from mypt.format.errors import DataError, Problem, format_count
from mypt.format.rules.arguments import check_arguments, whole_number
from mypt.model.mode import evaluation_mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from mypt.engine.inference.prompt_ids import Prompt
    from mypt.engine.language_model import LanguageModel
    from mypt.plugins.contracts.tokenizer import Tokenizer

# Rows of logits processed at once: few enough for a CPU cache even with a wide vocabulary.
CHUNK_ROWS = 128


@frozen(kw_only=True)
class Score:
    """How well a text was predicted.

    Attributes:
        loss: Mean loss, nats per predicted token.
        perplexity: exp(loss).
        bits_per_byte: Total bits of the predicted tokens divided by their UTF-8 bytes, which is
            comparable between models with different vocabularies. The first token is not counted,
            which is not the text's own if the tokenizer begins every text with a BOS. NaN where the
            others are no text, and where ids are scored without a tokenizer.
        stride: Number of tokens from one window to the next.
        block_size: Number of tokens in a window.
        ids: The tokens, (N,); of a text with those that begin every text of this tokenizer.
        losses: Loss of each token except the first, (N - 1,), in nats: the negative natural
            logarithm of its probability.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    stride: int
    block_size: int
    ids: tuple[int, ...]
    losses: tuple[float, ...]


@explain_oom(SCORING)
def score(
    model: LanguageModel, text: Prompt, stride: int | None, *, read_special_tokens: bool = False
) -> Score:
    """Measure how well a model predicts a text; see `GPT.score`."""
    block_size = model.config.block_size
    up_to = evolve(
        whole_number(1, below=block_size + 1), wanted=f"1 to the model's block_size, {block_size}"
    )
    given = max(1, block_size // 2) if stride is None else stride
    checked = check_arguments(text=(text, TEXT_OR_IDS), stride=(given, up_to))
    begin = model.begin_ids
    if isinstance(checked["text"], str):
        tokenizer = model.need_tokenizer()
        encoded = encode_given(tokenizer, checked["text"], read_special_tokens=read_special_tokens)
        ids = [*begin, *encoded]
    else:
        ids = list(checked["text"])
        check_vocabulary("text", ids, model.config.vocab_size)
    if len(ids) < 2:
        what, fix = f"has {format_count(len(ids), 'token')}", "score a text of two or more"
        raise DataError(Problem("the text", "", what, fix))
    losses = token_losses(model, torch.tensor(ids), checked["stride"]).tolist()
    total = math.fsum(losses)
    n_begin = count_begin(ids, begin)
    size_bytes = (
        0 if model.tokenizer is None else _count_predicted_bytes(model.tokenizer, ids, n_begin)
    )
    return Score(
        loss=total / len(losses),
        perplexity=_exp_or_inf(total / len(losses)),
        bits_per_byte=total / math.log(2) / size_bytes if size_bytes else math.nan,
        stride=checked["stride"],
        block_size=block_size,
        ids=tuple(ids),
        losses=tuple(losses),
    )


@torch.inference_mode()
def token_losses(model: LanguageModel, ids: Tensor, stride: int) -> Tensor:
    """Compute the loss of each token except the first, without dropout.

    Args:
        model: The model, in any mode.
        ids: (N,) int64, N at least 2.
        stride: 1 to block_size.

    Returns:
        (N - 1,) float32 on the CPU, in nats.
    """
    device = next(model.parameters()).device
    found = []
    with evaluation_mode(model):
        for window, new in windows(len(ids) - 1, model.config.block_size, stride):
            inputs, targets = ids[:-1][window].to(device), ids[1:][window].to(device)[-new:]
            logits = model(inputs[None])[0, -new:]
            for first in range(0, new, CHUNK_ROWS):
                chunk = slice(first, first + CHUNK_ROWS)
                losses = F.cross_entropy(logits[chunk].float(), targets[chunk], reduction="none")
                found.append(losses)
    return torch.cat(found).cpu()


def windows(length: int, block_size: int, stride: int) -> Iterator[tuple[slice, int]]:
    """Cover the positions 0 ... length - 1 with windows.

    Yields:
        A window of at most `block_size` positions, and how many positions at its end are new. The
        last window is as long as the others.
    """
    end = min(block_size, length)
    yield slice(0, end), end
    while end < length:
        new = min(stride, length - end)
        end += new
        yield slice(max(0, end - block_size), end), new


def _count_predicted_bytes(tokenizer: Tokenizer, ids: Sequence[int], begin: int) -> int:
    """Return the UTF-8 bytes of the text of all tokens but the first.

    Args:
        tokenizer: What decodes them.
        ids: The tokens.
        begin: How many of them begin every text.
    """
    if begin:  # they have no text, and what follows begins one
        return len(tokenizer.decode(ids[begin:]).encode())
    return len(tokenizer.decode_bytes(ids[1:]))


def _exp_or_inf(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
