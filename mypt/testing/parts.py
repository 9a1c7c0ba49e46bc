"""Check an architecture part: on its own, and in a tiny model that is trained, saved and used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import PluginError
from mypt.model.assembly import Assembly
from mypt.model.initialisation import initialise
from mypt.model.transformer import LAYOUT, Transformer
from mypt.plugins.contracts import PartFactory
from mypt.plugins.factory_checks import check_result
from mypt.plugins.parts import Context, Placement
from mypt.testing.decoding import check_cache, check_generation
from mypt.testing.expectations import ContractError, check_fields, during, expect
from mypt.testing.registration import register_beside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from mypt.plugins.manager import Plugins

TINY = GPTConfig(
    block_size=12, vocab_size=31, n_embd=24, n_head=4, n_layer=2, dropout=0.0, batch_size=2
)


@during("the part")
def check_part(
    factory: PartFactory, config: GPTConfig = TINY, *, plugins: Plugins | None = None
) -> None:
    """Check that a part works wherever a model does.

    Checked are the tensors that it declares, shapes, causality, the independence of rows, the
    cache and generation, gradients, dropout, low precision, saving, and `torch.compile` (traced
    only, so that no compiler is needed).

    Args:
        factory: As the plugin offers it.
        config: Config of the tiny model that the part is tested in. It needs `plugins` where the
            part has required settings, and may have dropout. The slot of the part is set here.
        plugins: Where the other parts of the config are looked up, as `registered` returns them;
            by default only this part and those of mypt can be used.

    Raises:
        ContractError: The part violates its contract.
    """
    check_fields(factory, PartFactory)
    chosen: dict[str, Any] = {factory.slot: factory.name}
    config = evolve(config, **chosen)
    if plugins is None:
        plugins = register_beside(factory, next(iter(config.plugins), None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _build_model(config, plugins)
        _check_build(factory, config)
        with during("the part by itself"):
            _check_alone(factory.slot, config, plugins)
        _check_model(model)
        check_cache(model)
        check_generation(model)
        _check_training(_build_model(evolve(config, dropout=config.dropout or 0.1), plugins))
        _check_saving(model, plugins)
        _check_precision(model)
        _check_compile(model)


def random_ids(config: GPTConfig, length: int) -> Tensor:
    """Draw ids (2, length) int64."""
    return torch.randint(config.vocab_size, (2, length))


def _build_model(config: GPTConfig, plugins: Plugins) -> Transformer:
    """Build a model whose weights are large enough that every part affects the logits."""
    try:
        model = Transformer(config, plugins)
    except PluginError as error:
        if error.problems[0].kind != LAYOUT:
            raise
        message = f"its tensors are not those it declares: {error}"
        raise ContractError(message) from error
    initialise(model, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.2))
    return model.eval()


def _check_build(factory: PartFactory, config: GPTConfig) -> None:
    with during("its `build`"):
        built = factory.build(config)
    try:
        check_result(factory, "build", built)
    except TypeError as error:
        message = f"its `build`: {error}"
        raise ContractError(message) from error


def _check_alone(slot: str, config: GPTConfig, plugins: Plugins) -> None:
    """Check the output of the part, and that a pointwise part treats each position by itself."""
    assembly = Assembly(config, plugins)
    part: Any = assembly.build_block(0) if slot == "block_type" else assembly.build(slot, 0)
    if slot == "pos_encoding":
        _check_placement(part, config)
        return
    x = torch.randn(2, config.block_size, config.n_embd)
    pointwise = slot in ("mlp_type", "norm_type")
    shared = () if pointwise else (Context(0, None, None), None)
    part.eval()
    with torch.no_grad():
        out = part(x, *shared)
        _expect_shape(out, x, "its output")
        if pointwise:
            expect(
                _are_close(part(x, *shared), out),
                "two calls in `eval` mode give different outputs: it draws random numbers, or "
                "remembers earlier passes",
            )
            one = part(x[:, 3:4], *shared)
            expect(
                _are_close(one, out[:, 3:4]), "its output for a position depends on other positions"
            )


def _check_placement(part: nn.Module, config: GPTConfig) -> None:
    keys = torch.arange(7)
    positions = keys[4:]
    placed = part(positions, keys)
    got = type(placed).__name__
    expect(isinstance(placed, Placement), f"it returns a {got}, not a Placement")
    if placed.embedding is not None:
        like = torch.zeros(len(positions), config.n_embd)
        _expect_shape(placed.embedding, like, "its embedding")
    if placed.rotate is not None:
        heads = torch.randn(2, 3, len(positions), config.head_width)
        for dtype in (torch.float32, torch.bfloat16):
            _expect_shape(placed.rotate(heads.to(dtype)), heads.to(dtype), "what it rotates")
    if placed.bias is not None:
        wanted = (2, config.n_head, len(positions), len(keys))
        expect(placed.bias.is_floating_point(), f"its bias is {placed.bias.dtype}, not floating")
        try:
            torch.broadcast_to(placed.bias, wanted)
        except RuntimeError as error:
            message = f"its bias {tuple(placed.bias.shape)} cannot be broadcast to {wanted}"
            raise ContractError(message) from error


def _expect_shape(out: Any, like: Tensor, what: str) -> None:
    found = (tuple(out.shape), out.dtype) if isinstance(out, torch.Tensor) else type(out)
    wanted = (tuple(like.shape), like.dtype)
    expect(found == wanted, f"{what} is {found}, not {wanted}")


@torch.no_grad()
def _check_model(model: Transformer) -> None:
    """Check that the model is causal and repeatable, and that rows are independent."""
    length = model.config.block_size
    idx = random_ids(model.config, length)
    with during("a model with it"):
        logits = model(idx)
    expect(bool(logits.isfinite().all()), "the logits are not finite")
    expect(torch.equal(logits, model(idx)), "in evaluation mode, two calls give different logits")
    expect(_are_close(model(idx[:1]), logits[:1]), "the logits of a row depend on the other rows")
    for place in range(1, length):
        changed = idx.clone()
        changed[:, place] = (changed[:, place] + 1) % model.config.vocab_size
        expect(
            _are_close(model(changed)[:, :place], logits[:, :place]),
            f"positions before {place} depend on the token there: it looks into the future",
        )
        expect(
            _are_close(model(idx[:, :place]), logits[:, :place]),
            f"a text of {place} tokens has other logits than the same tokens in a longer text",
        )


def _check_training(model: Transformer) -> None:
    """Check the gradients, with and without activation checkpointing, from one random seed."""
    idx = random_ids(model.config, model.config.block_size + 1)
    model.train()
    found = _compute_gradients(model, idx)
    for name, gradient in found.items():
        if gradient is None:
            message = f"{name} gets no gradient: it is not part of what the model computes"
            raise ContractError(message)
        expect(bool(gradient.isfinite().all()), f"the gradient of {name} is not finite")
    _expect_equal(
        found,
        _compute_gradients(model, idx),
        "differs from one random seed: it draws from elsewhere, or remembers earlier passes",
    )
    model.activation_checkpointing = True
    again = _compute_gradients(model, idx)
    _expect_equal(found, again, "differs with activation checkpointing")


def _compute_gradients(model: Transformer, idx: Tensor) -> dict[str, Tensor | None]:
    model.zero_grad()
    torch.manual_seed(1)  # dropout draws from it
    ways = " with activation checkpointing" if model.activation_checkpointing else ""
    with during(f"a backward pass{ways}"):
        model.loss(idx[:, :-1], idx[:, 1:]).backward()  # type: ignore[no-untyped-call]
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def _expect_equal(
    found: Mapping[str, Tensor | None], again: Mapping[str, Tensor | None], otherwise: str
) -> None:
    for name, gradient in found.items():
        other = again[name]
        is_same = gradient is not None and other is not None and _are_close(gradient, other)
        expect(is_same, f"the gradient of {name} {otherwise}")


def _check_saving(model: Transformer, plugins: Plugins) -> None:
    """Check that the saved tensors are the whole state, also after training."""
    idx = random_ids(model.config, model.config.block_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for _ in range(2):
        model.loss(idx, idx).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with during("a model that is opened from a bundle"), torch.device("meta"):
        opened = Transformer(model.config, plugins)
    opened.load_weights(kept)
    with torch.no_grad(), during("a model that is opened from a bundle"):
        expect(
            torch.equal(opened.eval()(idx), model(idx)),
            "saved and opened again, the model computes something else: part of its state is "
            "neither a parameter nor derived from the config",
        )


@torch.no_grad()
def _check_precision(model: Transformer) -> None:
    idx = random_ids(model.config, model.config.block_size)
    with during("bfloat16 autocast"), torch.autocast("cpu", torch.bfloat16):
        logits = model(idx)
    expect(bool(logits.isfinite().all()), "under bfloat16 autocast the logits are not finite")
    double = model.double()
    with during("a model in float64"):
        dtype = double(idx).dtype
    expect(dtype == torch.float64, f"a model in float64 returns {dtype}")
    model.float()


def _check_compile(model: Transformer) -> None:
    idx = random_ids(model.config, model.config.block_size)
    torch.compiler.reset()  # what was compiled for other models counts against a limit
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with during("torch.compile(fullgraph=True)"), torch.no_grad():
        logits = compiled(idx)
    expect(_are_close(logits, model(idx)), "compiled, it computes other logits")


def _are_close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-4, rtol=1e-4)
