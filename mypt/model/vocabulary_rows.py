"""The rows of a model's tensors that belong to ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.layout import expected_tensors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.format.layout import Layouts


def add_rows(
    weights: Mapping[str, Tensor],
    config: GPTConfig,
    vocab_size: int,
    layouts: Layouts,
    *,
    in_use: int,
    new_ids: Collection[int],
) -> dict[str, Tensor]:
    """Return the weights of a model with new tokens, each the mean of the tokens in use.

    That goes for the embedding, for the head and its bias, and for what else has a row per id. All
    other values stay as they are.

    Args:
        weights: The tensors of the model by name.
        config: Its architecture.
        vocab_size: The new number of ids, at least that of `config`.
        layouts: The known parts.
        in_use: The number of ids that its tokenizer had; what lies beyond was padding.
        new_ids: The ids of the new tokens, which may lie in the padding.

    Source: Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models".
    """
    sized = _find_row_dimensions(config, layouts)
    shapes = expected_tensors(evolve(config, vocab_size=vocab_size), layouts)
    made = dict(weights)
    for name, dim in sized.items():
        if name not in weights:  # a tied head
            continue
        tensor = weights[name].detach()
        rows = tensor.movedim(dim, 0)
        mean = rows[:in_use].double().mean(0).to(tensor.dtype)
        grown = mean.expand(shapes[name][dim], *mean.shape).clone()
        grown[: len(rows)] = rows
        grown[list(new_ids)] = mean
        made[name] = grown.movedim(0, dim).contiguous()
    return made


def _find_row_dimensions(config: GPTConfig, layouts: Layouts) -> dict[str, int]:
    """Return the dimension that counts ids, of each tensor that has one, by name.

    A part may pad its rows, so that only a much larger vocabulary shows in its shapes.
    """
    shapes = expected_tensors(config, layouts)
    larger = expected_tensors(evolve(config, vocab_size=2 * config.vocab_size + 8192), layouts)
    pairs = {name: (*zip(shape, larger[name], strict=True),) for name, shape in shapes.items()}
    return {
        name: next(dim for dim, (ours, other) in enumerate(pair) if ours != other)
        for name, pair in pairs.items()
        if any(ours != other for ours, other in pair)
    }
