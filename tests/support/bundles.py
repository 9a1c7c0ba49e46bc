"""Bundles of random weights, written by the format alone."""

import torch

from mypt.format.bundle.write import save_bundle
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.documents.training import TrainingState
from mypt.format.layout import BUILT_IN, EMBEDDING, expected_tensors
from mypt.format.optimizers.document import optimizer_document
from mypt.format.optimizers.parameter_rules import split_by_decay
from mypt.format.storage.commit import open_for_writing


def random_weights(config, seed=0):
    """Return random weights for a config; tied ones share their memory."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(shape, generator=generator)
        for name, shape in expected_tensors(config, BUILT_IN).items()
    }
    if config.tie_weights:
        tensors["lm_head.weight"] = tensors["token_embedding_table.weight"]
    return tensors


def adamw_state(weights):
    """Return what AdamW keeps after one step on these weights, with mypt's settings."""
    own = {name: w for name, w in weights.items() if w is not weights.get(EMBEDDING)}
    own = {EMBEDDING: weights[EMBEDDING], **own}  # where the head is tied, it is none of its own
    parameters = {name: torch.nn.Parameter(w.clone()) for name, w in own.items()}
    halves = split_by_decay({name: p.shape for name, p in parameters.items()}, "linear")
    groups = [
        {"params": [parameters[name] for name in half], "weight_decay": decay}
        for half, decay in zip(halves, (0.1, 0.0), strict=True)
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    sum((p**2).sum() for p in parameters.values()).backward()
    optimizer.step()
    kept = ("lr", "betas", "eps", "weight_decay")
    settings = [{key: group[key] for key in kept} for group in optimizer.param_groups]
    state = {name: optimizer.state[parameter] for name, parameter in parameters.items()}
    return optimizer_document("adamw", state, zip(halves, settings, strict=True))


def save_random_bundle(
    folder, config, seed=0, step=3, *, with_training=True, tokenizer=None, **changed
):
    """Commit a whole bundle; return its manifest."""
    weights = random_weights(config, seed)
    chars = tuple("abcdefghijklmnopqrstuvwxyz"[: config.vocab_size])
    with open_for_writing(folder) as writer:
        return save_bundle(
            writer,
            config=config,
            tokenizer=tokenizer or TokenizerState(token_kind="char", chars=chars),
            training_state=TrainingState(step=step) if with_training else None,
            weights=weights,
            optimizer=adamw_state(weights) if with_training else None,
            written_by="the tests",
            **changed,
        )
