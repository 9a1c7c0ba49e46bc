"""Make single tokens likelier or less likely."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from mypt.format.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from mypt.plugins import BeginText, LogitProcessor, Tokenizer

NAME = "logit_bias"


def build_logit_bias(options: Mapping[str, Any], tokenizer: Tokenizer) -> BeginText:
    """Return what makes the processor of a text.

    Args:
        options: `bias` maps ids, integers, or texts of one token, to what is added to the logit.
        tokenizer: The model's.

    Raises:
        ConfigError: A key is no token, two are the same, or a bias is not finite.
    """
    problems: list[Problem] = []
    found: dict[int, float] = {}
    for token, bias in options["bias"].items():
        number, flaw = _find_id(tokenizer, token)
        if flaw is None and not math.isfinite(bias):
            flaw = f"is {bias}", "make it a finite number; -100 all but bans a token"
        if flaw is None and number in found:
            flaw = f"is the token {number}, which is there twice", "name it once"
        if flaw is not None:
            problems.append(Problem("", f"{NAME}/{token}", *flaw, kind="sampling"))
        found[number] = bias
    if problems:
        raise ConfigError(*problems)
    ids, biases = torch.tensor([*found], dtype=torch.int64), torch.tensor([*found.values()])

    def add(logits: Tensor, _: Sequence[int]) -> Tensor:
        return logits.index_add_(0, ids.to(logits.device), biases.to(logits))

    def begin(_: Sequence[int]) -> LogitProcessor:
        return add

    return begin


def _find_id(tokenizer: Tokenizer, token: int | str) -> tuple[int, tuple[str, str] | None]:
    """Return the id of a token, and what is wrong with what names it."""
    if not isinstance(token, str):
        fix = f"make it 0 to {tokenizer.n_vocab - 1}, or the token's text"
        fine = 0 <= token < tokenizer.n_vocab
        return token, None if fine else ("is no token of this vocabulary", fix)
    ids = tokenizer.encode(token)
    if len(ids) != 1:
        return -1, (f"is not one token but {len(ids)}", "name one token, by its text or its id")
    return ids[0], None
