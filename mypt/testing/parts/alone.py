"""Check an architecture part on its own, by what its slot asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve
from torch import nn

from mypt.format.layout import BLOCK_SLOTS, lay_out
from mypt.model.assembly import Assembly
from mypt.model.contexts import PassContexts, list_kinds
from mypt.model.training_loss import takes_token_loss
from mypt.plugins.nn.token_loss import CrossEntropy
from mypt.plugins.parts import Context, Placement
from mypt.plugins.results import check_result
from mypt.testing.expectations import ContractError, during, expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from mypt.format.documents.config import GPTConfig
    from mypt.plugins.contracts.part import PartFactory
    from mypt.plugins.manager import Plugins

# From here on, a loss is computed in chunks.
_WIDE = 1500
_OTHER_LOSS = CrossEntropy(z_loss=0.05, label_smoothing=0.2)


def check_alone(factory: PartFactory, config: GPTConfig, plugins: Plugins) -> None:
    """Check what a part builds, and what that computes.

    Args:
        factory: The part.
        config: A config that chooses it.
        plugins: Where it and the other parts are looked up.

    Raises:
        ContractError: The part violates the contract of its slot.
    """
    _check_build(factory, config, plugins)
    with during("the part by itself"):
        part: Any = _build(factory.slot, config, plugins).eval()
        match factory.slot:
            case "mlp_type" | "norm_type":
                _check_pointwise(part, torch.randn(2, config.block_size, config.n_embd))
            case "pos_encoding":
                _check_placement(part, config)
            case "embedding_type":
                _check_embedding(part, config)
            case "head_type":
                _check_head(part, config)
                wide = evolve(config, vocab_size=_WIDE)
                _check_head(_build(factory.slot, wide, plugins).eval(), wide)
            case "stack_type":
                _check_stack(part, config, lay_out(config, plugins.layouts).prefix)
            case _:
                _check_mixer(part, config)


def are_close(a: Tensor, b: Tensor) -> bool:
    """Return whether two results are the same but for rounding."""
    return torch.allclose(a, b, atol=1e-4, rtol=1e-4)


def _build(slot: str, config: GPTConfig, plugins: Plugins) -> nn.Module:
    assembly = Assembly(config, plugins)
    if slot == "block_type":
        return assembly.build_block(0)
    return assembly.build(slot, 0 if slot in BLOCK_SLOTS else None)


def _check_build(factory: PartFactory, config: GPTConfig, plugins: Plugins) -> None:
    layer = 0 if factory.slot in BLOCK_SLOTS else None
    with during("its `build`"):
        built = Assembly(config, plugins).build(factory.slot, layer)
    try:
        check_result(factory, "build", built)
    except TypeError as error:
        message = f"its `build`: {error}"
        raise ContractError(message) from error


@torch.no_grad()
def _check_pointwise(part: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Check that a part has one output per position, which depends on no other."""
    out = part(x)
    _expect_shape(out, x, "its output")
    _check_positions(part, x, out)


def _check_positions(part: Callable[[Tensor], Tensor], given: Tensor, out: Tensor) -> None:
    expect(
        are_close(part(given), out),
        "two calls in `eval` mode give different outputs: it draws random numbers, or "
        "remembers earlier passes",
    )
    expect(
        are_close(part(given[:, 3:4]), out[:, 3:4]),
        "its output for a position depends on other positions",
    )


@torch.no_grad()
def _check_mixer(part: Callable[..., Tensor], config: GPTConfig) -> None:
    x = torch.randn(2, config.block_size, config.n_embd)
    _expect_shape(part(x, Context(0, None, None), None), x, "its output")


def _check_placement(part: nn.Module, config: GPTConfig) -> None:
    keys = torch.arange(7)
    positions = keys[4:]
    placed = part(positions, keys)
    got = type(placed).__name__
    expect(isinstance(placed, Placement), f"it returns a {got}, not a Placement")
    if placed.embedding is not None:
        like = torch.zeros(len(positions), config.n_embd)
        _expect_shape(placed.embedding, like, "its embedding")
    for rotate in filter(None, (placed.rotate, placed.rotate_sliding)):
        heads = torch.randn(2, 3, len(positions), config.head_width)
        for dtype in (torch.float32, torch.bfloat16):
            _expect_shape(rotate(heads.to(dtype)), heads.to(dtype), "what it rotates")
    if placed.bias is not None:
        wanted = (2, config.n_head, len(positions), len(keys))
        expect(placed.bias.is_floating_point(), f"its bias is {placed.bias.dtype}, not floating")
        try:
            torch.broadcast_to(placed.bias, wanted)
        except RuntimeError as error:
            message = f"its bias {tuple(placed.bias.shape)} cannot be broadcast to {wanted}"
            raise ContractError(message) from error


@torch.no_grad()
def _check_embedding(part: Callable[[Tensor], Tensor], config: GPTConfig) -> None:
    idx = torch.randint(config.vocab_size, (2, config.block_size))
    out = part(idx)
    _expect_shape(out, torch.zeros(*idx.shape, config.n_embd), "its output")
    _check_positions(part, idx, out)


def _check_head(part: Any, config: GPTConfig) -> None:
    """Check the logits of a head, and that its loss is theirs, with the same gradients."""
    x = torch.randn(2, config.block_size, config.n_embd)
    with torch.no_grad():
        logits = part(x)
        _expect_shape(logits, torch.zeros(*x.shape[:2], config.vocab_size), "its output")
        _check_positions(part, x, logits)
        expect(
            are_close(part(x[:, 0]), logits[:, 0]), "the logits of (B, n_embd) are not (B, V) alone"
        )
    targets = torch.randint(config.vocab_size, x.shape[:2])
    some = torch.rand(x.shape[:2])
    expect(hasattr(part, "loss"), "it has no method `loss`")
    others = (_OTHER_LOSS,) if takes_token_loss(part) else ()
    for token_loss in (None, *others):
        for mask in (None, some, some > 0.5):
            _check_loss(part, x, targets, mask, token_loss)
    none = part.loss(x, targets, torch.zeros(x.shape[:2]))
    expect(bool(none.isnan()), "where no position counts, its loss is not NaN")


def _check_loss(
    part: Any, x: Tensor, targets: Tensor, mask: Tensor | None, token_loss: CrossEntropy | None
) -> None:
    kind = "" if mask is None else " with a mask"
    given = {} if token_loss is None else {"token_loss": token_loss}
    found = part.loss(x, targets, mask, **given)
    expect(found.dim() == 0, f"its loss{kind} has shape {tuple(found.shape)}, not ()")
    wanted_loss = token_loss or CrossEntropy()
    losses = wanted_loss(part(x).flatten(0, 1), targets.flatten()).view(targets.shape)
    wanted = losses.mean() if mask is None else (losses * mask).sum() / mask.sum()
    right = "the cross entropy" if token_loss is None else "the `token_loss`"
    expect(
        are_close(found, wanted),
        f"in `eval` mode its loss{kind} is {found.item():.5f}, but {right} of its logits is "
        f"{wanted.item():.5f}",
    )
    parameters = dict(part.named_parameters())
    pairs = zip(_gradients(found, parameters), _gradients(wanted, parameters), strict=True)
    for name, (ours, theirs) in zip(parameters, pairs, strict=True):
        expect(
            are_close(ours, theirs),
            f"the gradient of {name} by its loss{kind} is not that of {right}",
        )


def _gradients(value: Tensor, parameters: dict[str, nn.Parameter]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, list(parameters.values()), materialize_grads=True)


@torch.no_grad()
def _check_stack(stack: Any, config: GPTConfig, prefix: str) -> None:
    """Check that a stack's layers are where mypt compiles, shards, recomputes and freezes them."""
    for name in ("layers", "make_cache"):
        expect(hasattr(stack, name), f"it has no `{name}`")
    layers = [*stack.layers]
    expect(all(isinstance(m, nn.Module) for m in layers), "its `layers` are not modules")
    names = {id(tensor): f"blocks.{name}" for name, tensor in stack.named_parameters()}
    for number, layer in enumerate(layers):
        for tensor in layer.parameters():
            name = names.get(id(tensor), "a tensor outside of the stack")
            expect(
                name.startswith(f"{prefix}{number}."),
                f"layer {number} holds {name}, not {prefix}{number}.…, by which layers are frozen",
            )
    applied, called = _apply_stack(stack, config, layers)
    expect(
        {id(layer) for layer in layers} <= called,
        "its `layers` are not all called as modules: compiling or sharding them has no effect",
    )
    expect(
        {id(layer) for layer in layers} <= applied,
        "its `layers` are not all called through `contexts.apply`: their activations cannot be "
        "recomputed",
    )


def _apply_stack(
    stack: Any, config: GPTConfig, layers: list[nn.Module]
) -> tuple[set[int], set[int]]:
    """Return which layers were called through `contexts.apply`, and as modules."""
    applied: set[int] = set()
    called: set[int] = set()

    def apply(layer: Callable[..., Any], *inputs: Any) -> Any:
        applied.add(id(layer))
        return layer(*inputs)

    idx = torch.randint(config.vocab_size, (2, config.block_size))
    x = torch.randn(*idx.shape, config.n_embd)
    contexts = PassContexts(list_kinds(config), Placement(), 0, config.block_size, x.device, apply)
    hooks = [
        layer.register_forward_hook(lambda module, *_: called.add(id(module))) for layer in layers
    ]
    try:
        _expect_shape(stack(x, idx, contexts, None), x, "its output")
    finally:
        for hook in hooks:
            hook.remove()
    return applied, called


def _expect_shape(out: Any, like: Tensor, what: str) -> None:
    found = (tuple(out.shape), out.dtype) if isinstance(out, torch.Tensor) else type(out)
    wanted = (tuple(like.shape), like.dtype)
    expect(found == wanted, f"{what} is {found}, not {wanted}")
