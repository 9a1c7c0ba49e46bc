from mypt.export.fit import Fit, compare, list_zeros
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.tensor_source import TensorSource

PLAIN = GPTConfig(bias=False)


def test_biases_that_the_model_lacks_are_allowed_and_named():
    fit = compare(PLAIN, lambda: GPTConfig(bias=False, proj_bias=True))
    assert (fit.is_usable, fit.differing, fit.added) == (True, (), ("proj_bias",))


def test_a_bias_that_the_kind_lacks_is_a_reason():
    fit = compare(GPTConfig(bias=False, proj_bias=True), lambda: PLAIN)
    assert (fit.is_usable, fit.differing, fit.added) == (False, ("proj_bias",), ())


def test_another_scale_is_folded_unless_a_norm_would_undo_it():
    theirs = GPTConfig(bias=False, attn_scale=0.5)
    assert compare(PLAIN, lambda: theirs).is_folded
    normed, scaled = (
        GPTConfig(bias=False, qk_norm="head", **more) for more in ({}, {"attn_scale": 0.5})
    )
    assert not compare(normed, lambda: scaled).is_usable


def test_what_cannot_be_described_is_explained_with_its_reason():
    def fail():
        raise FormatError(Problem("config.json", "/n_head", "is odd", "make it even"))

    fit = compare(PLAIN, fail)
    (problem,) = fit.explain("X", "class of Y")
    assert "no class of Y can have; X is the nearest: config.json#/n_head: is odd" in str(problem)
    assert fit.cost > Fit(PLAIN, PLAIN, differing=("bias", "dropout")).cost


def test_zeros_have_the_names_of_the_file_in_the_order_of_the_model():
    wanted = {"b": (2,), "a": (3,), "held": (4,)}
    zeros = list_zeros(wanted, {"held"}, lambda name: TensorSource((f"x.{name}",)))
    assert list(zeros.items()) == [("x.b", (2,)), ("x.a", (3,))]
