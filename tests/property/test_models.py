"""Any config is refused, or is a model that computes what the specification says."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mypt.format.documents.config import GATED, GPTConfig
from mypt.format.documents.convert import from_document, to_document
from mypt.format.errors import ConfigError
from mypt.format.layout import BLOCK_NORMS, TWO_LAYER, expected_tensors
from mypt.format.rules.documents import document_problems
from mypt.model.decoding.generate import steps
from mypt.model.decoding.sampling_options import Sampling
from mypt.model.initialisation import initialise
from mypt.model.transformer import Transformer
from tests.support.reference import Reference

LENGTH = 7
maybe = st.none() | st.booleans()
factors = st.sampled_from([1.0, 0.5, 3.0])
caps = st.none() | st.sampled_from([0.7, 20.0])
scalings = st.none() | st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["dynamic", "llama3", "yarn"]),
        "factor": st.sampled_from([1.0, 2.5, 8.0]),
        "original_block_size": st.integers(1, 2 * LENGTH),
    },
    optional={
        "low_freq_factor": st.sampled_from([0.5, 1.0]),
        "high_freq_factor": st.sampled_from([1.5, 4.0]),
        "beta_fast": st.sampled_from([0.5, 32.0]),
        "attention_factor": st.none() | st.just(1.3),
        "truncate": st.booleans(),
    },
)
DRAWN = {
    "n_head": st.sampled_from([1, 2, 4]),
    "n_kv_head": st.sampled_from([None, 1, 2, 3]),
    "n_layer": st.integers(0, 3),
    "bias": st.booleans(),
    "tie_weights": st.booleans(),
    "pos_encoding": st.sampled_from(["learned", "rope"]),
    "mlp_type": st.sampled_from([*TWO_LAYER, *GATED]),
    "norm_type": st.sampled_from(["layernorm", "rmsnorm"]),
    "block_type": st.sampled_from([*BLOCK_NORMS]),
    "rope_theta": st.sampled_from([10000.0, 30.0]),
    "rope_theta_sliding": st.sampled_from([None, 50.0]),
    "rope_scale": factors,
    "rope_scaling": scalings,
    "rope_size": st.sampled_from([None, 2, 4, 5]),
    "rope_pattern": st.none() | st.text("RN", min_size=1, max_size=3),
    "sliding_window": st.none() | st.integers(1, LENGTH + 1),
    "window_pattern": st.none() | st.text("SF", min_size=1, max_size=3),
    "head_size": st.sampled_from([None, 3, 4, 6]),
    "mlp_hidden": st.sampled_from([None, 5]),
    "attn_scale": st.none() | factors,
    "attn_soft_cap": caps,
    "qk_norm": st.sampled_from([None, "head", "width"]),
    "norm_eps": st.none() | st.just(0.01),
    "norm_weight": maybe,
    "norm_offset": st.sampled_from([0.0, 1.0, -0.5]),
    "final_norm": maybe,
    "embedding_norm": st.booleans(),
    "embedding_scale": factors,
    "residual_scale": factors,
    "logit_scale": factors,
    "logit_soft_cap": caps,
    "qkv_bias": maybe,
    "proj_bias": maybe,
    "mlp_bias": maybe,
    "norm_bias": maybe,
    "head_bias": maybe,
}
FIXED = {"n_head": 2, "block_size": LENGTH, "vocab_size": 11, "n_embd": 16, "dropout": 0.0}
NEVER_DRAWN = {"adapter", "batch_size", "device", "attention_type", "plugins", "requires"}
NEVER_DRAWN |= {"embedding_type", "head_type", "stack_type"}
# One field or two, so that most of them go together, or any number.
few = st.lists(st.sampled_from(list(DRAWN)), max_size=6, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: DRAWN[name] for name in names})
)
fields = few | st.fixed_dictionaries({}, optional=DRAWN)


def test_every_field_is_drawn():
    assert set(to_document(GPTConfig(), versioned=False)) <= {*DRAWN, *FIXED, *NEVER_DRAWN}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=fields, seed=st.integers(0, 9))
def test_a_config_is_refused_by_its_fields_or_computes_what_the_specification_says(
    drawn, seed, plugins
):
    config = GPTConfig(**FIXED | drawn)
    while problems := find_problems(config, plugins):
        with pytest.raises(ConfigError):
            Transformer(config, plugins)
        named = {problem.where.split("/")[1] for problem in problems}
        assert named <= drawn.keys()
        drawn = {name: value for name, value in drawn.items() if name not in named}
        config = GPTConfig(**FIXED | drawn)
    assert from_document(GPTConfig, to_document(config)) == config
    torch.manual_seed(seed)
    model = Transformer(config, plugins)
    initialise(model, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.3))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert list(shapes.items()) == list(expected_tensors(config, plugins.layouts).items())
    check_logits(model.eval())
    check_training(model)


def find_problems(config, plugins):
    return document_problems("config", to_document(config), "config.json", plugins.layouts)


@torch.no_grad()
def check_logits(model):
    """The logits are those of the reference, and of generation with and without a cache."""
    idx = torch.randint(11, (2, LENGTH))
    reference = Reference(model.state_dict(), model.config)
    expected = torch.stack([reference.logits(row) for row in idx])
    tolerance = 1e-3 * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(model(idx).double(), expected, rtol=1e-3, atol=tolerance)
    ways = (
        steps(model, idx[:, :2], LENGTH + 2, Sampling(temperature=0), use_cache=use_cache)
        for use_cache in (True, False)
    )
    for cached, plain in zip(*ways, strict=True):
        torch.testing.assert_close(cached.logits, plain.logits, rtol=1e-3, atol=tolerance)
        if not torch.equal(cached.ids, plain.ids):  # two logits as good as equal
            return


def check_training(model):
    """Whatever is a parameter learns, and the loss is that of the logits."""
    idx = torch.randint(11, (2, LENGTH))
    targets = idx.roll(1, 1)
    loss = model.train().loss(idx, targets)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    logits = model.eval()(idx)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
