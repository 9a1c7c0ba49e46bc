"""Check an architecture part: on its own, and in a tiny model that is trained, saved and used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.errors import ConfigError, PluginError
from mypt.format.layout import EMBEDDING, HEAD, expected_tensors
from mypt.model.initialisation import initialise
from mypt.model.quantized import quantize
from mypt.model.transformer import LAYOUT, Transformer
from mypt.plugins.contracts.part import PartFactory
from mypt.testing.expectations import ContractError, check_fields, during, expect
from mypt.testing.parts.alone import are_close, check_alone
from mypt.testing.parts.decoding import check_cache, check_generation
from mypt.testing.registration import register_beside
from mypt.testing.updates import check_current

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from mypt.plugins.manager import Plugins

TINY = GPTConfig(  # with a bias of the head, so that a head_type is tried with one
    block_size=12,
    vocab_size=31,
    n_embd=24,
    n_head=4,
    n_layer=2,
    dropout=0.0,
    batch_size=2,
    head_bias=True,
)
# The slots whose parts get contexts or cause what is in them.
_OF_CONTEXTS = ("pos_encoding", "attention_type", "block_type", "stack_type")
# The slots whose parts may be tied.
_TIED = {"embedding_type": EMBEDDING, "head_type": HEAD}


@during("the part")
def check_part(
    factory: PartFactory, config: GPTConfig = TINY, *, plugins: Plugins | None = None
) -> None:
    """Check that a part works wherever a model does.

    Checked are the tensors that it declares, in each layer; shapes, causality, windows, the
    independence of rows and of the texts that share one, the cache and generation, gradients,
    dropout, low precision, 8-bit weights, saving, and `torch.compile` (traced only, so that no
    compiler is needed); of a head its loss, of a stack how it calls its layers, of what has a
    weight to tie a model that is tied.

    A part that cannot do windows, or cannot be tied, refuses the config with a `ConfigError`.

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
    check_current(factory, next(iter(config.plugins.values()), {}))
    chosen: dict[str, Any] = {factory.slot: factory.name}
    config = evolve(config, **chosen)
    if plugins is None:
        plugins = register_beside(factory, next(iter(config.plugins), None))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _build_model(config, plugins)
        check_alone(factory, config, plugins)
        _check_model(model)
        _check_shared_rows(model)
        check_cache(model)
        check_generation(model)
        _check_training(_build_model(evolve(config, dropout=config.dropout or 0.1), plugins))
        _check_saving(model, plugins)
        _check_precision(model)
        _check_compile(model)
        _check_quantized(model)
        for variant in _list_variants(factory.slot, config, plugins):
            _check_variant(variant, plugins)


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


def _list_variants(slot: str, config: GPTConfig, plugins: Plugins) -> Iterator[GPTConfig]:
    """Yield other configs that the part must work with, unless it refuses them."""
    learned = config.pos_encoding == TINY.pos_encoding
    if slot in _OF_CONTEXTS and slot != "pos_encoding" and learned and config.head_width % 2 == 0:
        yield evolve(config, pos_encoding="rope")
    if slot in _OF_CONTEXTS and config.sliding_window is None:
        yield evolve(config, n_layer=3, sliding_window=3, window_pattern="SFS")
        if slot != "stack_type":  # it may have windows of its own
            yield evolve(config, sliding_window=3)
    name = _TIED.get(slot)
    if name is not None and not config.tie_weights:
        shape = expected_tensors(config, plugins.layouts).get(name)
        if shape == (config.vocab_size, config.n_embd):
            yield evolve(config, tie_weights=True)


def _check_variant(config: GPTConfig, plugins: Plugins) -> None:
    try:
        model = _build_model(config, plugins)
    except ConfigError:  # the part refuses it
        return
    try:
        _check_model(model)
        check_cache(model)
        check_generation(model)
        _check_saving(model, plugins)
        if config.sliding_window is not None and config.window_pattern is None:
            _check_window(model)
    except ContractError as error:
        has_windows = config.sliding_window is not None
        ways = "layers have windows" if has_windows else "positions are rotated"
        message = f"where {'weights are tied' if config.tie_weights else ways}: {error}"
        raise ContractError(message) from error


@torch.no_grad()
def _check_window(model: Transformer) -> None:
    """Check how far positions see where all layers have the same window."""
    config = model.config
    reach = config.n_layer * ((config.sliding_window or 1) - 1)
    idx = random_ids(config, config.block_size)
    changed = idx.clone()
    changed[:, 0] = (changed[:, 0] + 1) % config.vocab_size
    expect(
        are_close(model(changed)[:, reach + 1 :], model(idx)[:, reach + 1 :]),
        f"positions depend on one that is more than {reach} before: it looks beyond the window",
    )


@torch.no_grad()
def _check_model(model: Transformer) -> None:
    """Check that the model is causal and repeatable, and that rows are independent."""
    length = model.config.block_size
    idx = random_ids(model.config, length)
    with during("a model with it"):
        logits = model(idx)
    expect(bool(logits.isfinite().all()), "the logits are not finite")
    expect(torch.equal(logits, model(idx)), "in evaluation mode, two calls give different logits")
    expect(are_close(model(idx[:1]), logits[:1]), "the logits of a row depend on the other rows")
    for place in range(1, length):
        changed = idx.clone()
        changed[:, place] = (changed[:, place] + 1) % model.config.vocab_size
        expect(
            are_close(model(changed)[:, :place], logits[:, :place]),
            f"positions before {place} depend on the token there: it looks into the future",
        )
        expect(
            are_close(model(idx[:, :place]), logits[:, :place]),
            f"a text of {place} tokens has other logits than the same tokens in a longer text",
        )


@torch.no_grad()
def _check_shared_rows(model: Transformer) -> None:
    """Check that a text that shares its row with another one is computed as if it were alone."""
    length = model.config.block_size
    idx, begin = random_ids(model.config, length), length // 3
    segments = (torch.arange(length) >= begin).long().expand_as(idx)
    with during("a row of two texts"):
        together = model.loss(idx, idx, segments.float(), segments=segments)
    expect(
        are_close(together, model.loss(idx[:, begin:], idx[:, begin:])),
        "a text depends on one that it shares its row with: it ignores `mask` of the context, or "
        "`documents` of the contexts where it mixes positions in another way",
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
        is_same = gradient is not None and other is not None and are_close(gradient, other)
        expect(is_same, f"the gradient of {name} {otherwise}")


def _check_saving(model: Transformer, plugins: Plugins) -> None:
    """Check that the saved tensors are the whole state, also after training."""
    idx = random_ids(model.config, model.config.block_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
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
    expect(are_close(logits, model(idx)), "compiled, it computes other logits")


@torch.no_grad()
def _check_quantized(model: Transformer) -> None:
    """Check a model whose linear layers have 8-bit weights; it cannot be used for more."""
    idx = random_ids(model.config, 5)
    before = model(idx)
    with during("a model with 8-bit weights"):
        quantize(model)
        logits = model(idx)
    expect(
        logits.shape == before.shape and bool(logits.isfinite().all()),
        f"with 8-bit weights, the logits are {tuple(logits.shape)} or not finite",
    )
