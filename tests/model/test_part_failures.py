"""A part of a plugin that fails is named, with the error; what is no fault of it is left alone."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import mypt
from mypt.engine.runtime.out_of_memory import OutOfMemoryError
from mypt.format.errors import ConfigError, PluginError
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.model.parts.attention import CausalAttention
from mypt.model.parts.block import PreNormBlock
from mypt.plugins import PartFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

SIZES = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 2, "vocab_size": 5, "dropout": 0.0}
IDX = torch.arange(4)[None]


class Broken(nn.Module):
    """Fails when told to, wherever it stands."""

    def __init__(self, config):
        super().__init__()
        self.inside = nn.Identity()

    def forward(self, *given):
        return self.compute(*given)

    def compute(self, *_):
        raise ValueError("not today\nnor tomorrow")


class Narrow(Broken):
    def compute(self, x):
        return x[..., :3]


class Resets(Broken):
    def reset(self, generator):
        raise KeyError("a seed")


class Hurries(CausalAttention):
    """Fails in the function that is used for one token, which has no `self`."""

    def one_token(self, linear):
        def step(x, context, cache):
            raise ZeroDivisionError

        return step


class Refuses(CausalAttention):
    def one_token(self, linear):
        raise LookupError("no such layer")


class Hungry(Broken):
    def compute(self, x):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")


class Advises(Broken):
    def compute(self, x):
        raise ConfigError()


def offered(slot, build, tensors=None):
    plugins = load_plugins()
    layout = tensors or (lambda config: {})
    factories = [PartFactory(slot, "mine", build, layout)]
    plugins.register(
        SimpleNamespace(mypt_parts=hookimpl(lambda: factories)),
        PluginOrigin("acme", "acme-parts", "1.0"),
    )
    return plugins


def model_with(slot, build, tensors=None):
    config = mypt.GPTConfig(**SIZES, **{slot: "mine"})
    return mypt.GPT(config, plugins=offered(slot, build, tensors)).eval()


def failure_of(call, *given):
    with pytest.raises(PluginError) as raised:
        call(*given)
    (problem,) = raised.value.problems
    assert problem.severity == "error"
    assert len(str(problem).splitlines()) == 1
    return problem


SAID = "failed in `forward` of its {} `mine`: ValueError: not today"


@pytest.mark.parametrize("slot", ["mlp_type", "norm_type", "attention_type", "pos_encoding"])
def test_a_part_that_fails_is_named_in_training_and_in_generation(slot):
    model = model_with(slot, Broken)
    tokens = generate(model, IDX, 2, Sampling(temperature=0.0))
    for call in (lambda: model(IDX), lambda: model.loss(IDX, IDX), lambda: next(tokens)):
        problem = failure_of(call)
        assert problem.where == "plugin acme of acme-parts 1.0"
        assert problem.what == SAID.format(slot)
        assert "mypt --disable-plugin acme" in problem.fix


def test_a_block_is_named_for_what_it_does_and_not_for_the_parts_within():
    class Twice(PreNormBlock):
        def forward(self, x, context, cache):
            return super().forward(x[..., :3], context, cache)

    assert "of its block_type `mine`" in failure_of(model_with("block_type", Twice), IDX).what
    layout = mypt.load_plugins().parts["attention_type", "causal"].tensors
    model = model_with("attention_type", Hurries, layout)
    assert "attention_type" in failure_of(list, generate(model, IDX, 3, Sampling())).what


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Hurries, "of its attention_type `mine`: ZeroDivisionError"),
        (Refuses, "`one_token` of its attention_type `mine`: LookupError: no such layer"),
    ],
)
def test_the_short_way_of_generation_is_named_too(part, said):
    layout = mypt.load_plugins().parts["attention_type", "causal"].tensors
    model = model_with("attention_type", part, layout)
    assert said in failure_of(list, generate(model, IDX, 3, Sampling(temperature=0.0))).what


def test_a_part_with_other_tensors_than_it_declares_is_named():
    said = failure_of(model_with, "mlp_type", lambda config: nn.Linear(8, 8)).what
    assert "the tensors of mlp_type `mine` of plugin acme of acme-parts 1.0 are not those" in said


def test_a_new_model_names_the_part_whose_reset_fails():
    said = failure_of(model_with, "norm_type", Resets).what
    assert said == "failed in `reset` of its norm_type `mine`: KeyError: 'a seed'"


@pytest.mark.parametrize(("slot", "part"), [("mlp_type", Narrow), ("norm_type", Narrow)])
def test_what_fails_on_the_result_of_a_part_names_the_parts_of_plugins(slot, part):
    problem = failure_of(model_with(slot, part), IDX)
    assert problem.where == "the model"
    assert f"{slot} `mine` of plugin acme of acme-parts 1.0" in problem.what
    assert "RuntimeError: " in problem.what


def test_memory_that_runs_out_is_no_fault_of_a_part(tmp_path):
    model = model_with("mlp_type", Hungry)
    with pytest.raises(OutOfMemoryError):
        model.generate([1, 2], 2)


def test_what_a_part_says_to_its_user_is_left_as_it_is():
    with pytest.raises(ConfigError):
        model_with("mlp_type", Advises)(IDX)


def test_errors_outside_of_parts_and_of_models_without_plugins_stay_what_they_are():
    with pytest.raises(IndexError):
        model_with("mlp_type", lambda config: nn.Identity())(torch.tensor([[99]]))
    model = mypt.GPT(mypt.GPTConfig(**SIZES))
    model.blocks[0].fwd.forward = lambda x: x[..., :3]
    with pytest.raises(RuntimeError):
        model(IDX)


def test_a_model_that_is_loaded_computes_its_buffers_anew(tmp_path):
    class Buffered(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.register_buffer("scale", torch.full((config.n_embd,), 0.5), persistent=False)

        def forward(self, x):
            return x * self.scale

    model = model_with("norm_type", Buffered)
    model.save(tmp_path / "m")
    state = torch.get_rng_state()
    loaded = mypt.load(tmp_path / "m", plugins=model.plugins)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        assert torch.equal(loaded(IDX), model(IDX))
    places = {norm.scale.data_ptr() for norm in (loaded.ln_f, loaded.blocks[0].ln1)}
    assert len(places) == 2
