"""Begin a model with the weights of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mypt.engine.checkpoints import build_tokenizer
from mypt.engine.gpt import GPT
from mypt.format.documents import Ancestor

if TYPE_CHECKING:
    from mypt.engine.opening import Opened
    from mypt.format.documents import GPTConfig
    from mypt.plugins.manager import Plugins

_POSITIONS = "position_embedding_table.weight"


def start_from(base: Opened, config: GPTConfig, plugins: Plugins) -> GPT:
    """Build a model with the weights and the tokenizer of another one, on the CPU, in float32.

    Args:
        base: The other model.
        config: Its architecture; block_size may be smaller, and with rope larger too.
        plugins: Where parts and tokenizers are looked up.
    """
    with torch.device("meta"):
        model = GPT(config, build_tokenizer(base.tokenizer, plugins), plugins=plugins)
    model.tokenizer_state = base.tokenizer
    weights = {name: tensor.clone() for name, tensor in base.weights().items()}
    if _POSITIONS in weights:
        weights[_POSITIONS] = weights[_POSITIONS][: config.block_size].clone()
    model.load_weights(weights, file=str(base.path))
    return model


def lineage_of(base: Opened, name: str) -> tuple[Ancestor, ...]:
    """Say where the weights of a model come from that begins with those of `base`.

    Args:
        base: The other model.
        name: What the user calls it.

    Raises:
        FormatError: Its weights are not what was saved.
    """
    state = base.training_state
    before = () if state is None else state.lineage
    step = 0 if state is None else state.step
    return (*before, Ancestor(model=name, step=step, sha256=base.digest()))
