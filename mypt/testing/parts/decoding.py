"""Check that a model computes the same with a key-value cache as without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.testing.expectations import during, expect

if TYPE_CHECKING:
    from torch import Tensor

    from mypt.model.transformer import Transformer


@torch.no_grad()
def check_cache(model: Transformer) -> None:
    """Check the logits of a text that is fed in pieces, of one token and of several.

    Each cache is used twice: a text from position 0 starts over in it. One that can resume from its
    middle does so.

    Raises:
        ContractError: They differ from those of the whole.
    """
    length = model.config.block_size
    idx = torch.randint(model.config.vocab_size, (2, length))
    whole = model(idx)
    for sizes in ((1,) * length, (length - 1, 1), (3, 1, 4, length - 8), (length,)):
        cache = model.make_cache()
        for times in ("", ", a second time"):
            cache.length, found = 0, []
            how = f"a cache that is filled with {sizes} tokens at once{times}"
            with during(how):
                for piece in torch.split(idx, list(sizes), dim=1):
                    found.append(model(piece, cache))
            logits = torch.cat(found, dim=1)
            is_same = torch.allclose(logits, whole, atol=1e-4, rtol=1e-4)
            expect(is_same, f"with {how}, the logits differ")
    start = length // 2
    if cache.can_resume(start):
        cache.length, how = start, f"a cache of {length} positions that goes back to {start}"
        with during(how):
            logits = model(idx[:, start:], cache)
        is_same = torch.allclose(logits, whole[:, start:], atol=1e-4, rtol=1e-4)
        expect(is_same, f"with {how}, the logits differ")


def check_generation(model: Transformer) -> None:
    """Check that tokens are the same with and without a cache, also when the window slides.

    Raises:
        ContractError: They differ.
    """
    prompts = torch.randint(model.config.vocab_size, (2, 3))
    new = model.config.block_size + 4
    for rows in (prompts, prompts[:1]):
        with during("generation"):
            cached, plain = (_generate(model, rows, new, use_cache=use) for use in (True, False))
        expect(cached == plain, f"with a cache it generates {cached}, without {plain}")


def _generate(model: Transformer, rows: Tensor, new: int, *, use_cache: bool) -> list[list[int]]:
    steps = generate(model, rows, new, Sampling(temperature=0.0), use_cache=use_cache)
    return [ids.tolist() for ids in steps]
