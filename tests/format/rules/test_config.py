import pytest

from mypt.format.layout import BUILT_IN, PartLayout, no_tensors
from mypt.format.rules.config import architecture_problems

FIELDS = {"n_embd": 12, "n_head": 3, "n_layer": 2, "vocab_size": 5, "block_size": 8}


def lines(layouts=BUILT_IN, plugins=None, **changed):
    return [
        str(p) for p in architecture_problems(FIELDS | changed, "config.json", layouts, plugins)
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"n_head": 5, "head_size": 7},
        {"pos_encoding": "rope"},
        {"pos_encoding": "rope", "head_size": 2, "n_head": 1},
        {"n_head": 4, "tie_weights": True, "mlp_type": "swiglu", "norm_type": "rmsnorm"},
        {"name": "a preset's own field"},
    ],
)
def test_what_can_be_built_is_well(changed):
    assert lines(**changed) == []


def test_heads_that_do_not_divide_the_width_are_refused_with_numbers_that_do():
    assert lines(n_head=5) == [
        "config.json#/n_head: is 5, which does not divide n_embd (12); "
        "choose 4 or 6, or set head_size"
    ]
    assert lines(n_head=2**31 - 1) == [
        "config.json#/n_head: is 2147483647, which does not divide n_embd (12); "
        "choose a divisor of it, or set head_size"
    ]


def test_rope_needs_heads_of_an_even_width():
    said = "but rope rotates pairs of values; make the heads an even width"
    assert lines(n_head=4, pos_encoding="rope") == [
        f"config.json#/n_head: makes heads 3 wide, {said}"
    ]
    assert lines(head_size=5, pos_encoding="rope") == [
        f"config.json#/head_size: makes heads 5 wide, {said}"
    ]


def test_defaults_count_for_fields_that_are_not_given():
    (problem,) = architecture_problems({"n_embd": 100}, "config.json")
    assert problem.where == "/n_head"


def test_a_part_that_nobody_offers_is_named_with_what_was_perhaps_meant():
    (line,) = lines(mlp_type="geluu")
    assert "(did you mean `gelu`?)" in line
    assert lines(norm_type="foo") == [
        'config.json#/norm_type: is "foo", which neither mypt nor an installed plugin provides; '
        "use one of: layernorm, rmsnorm, or install the plugin that provides it"
    ]
    needed = {"mypt-waves": {"version": "1.2", "needed_for": ["read"]}}
    assert lines(norm_type="wavelet", plugins=needed) == [
        'config.json#/norm_type: is "wavelet", which requires mypt-waves 1.2 to be read and '
        "checked; install it: pip install mypt-waves"
    ]


def test_a_plugin_s_part_is_well():
    layouts = {**BUILT_IN, ("norm_type", "wavelet"): PartLayout(no_tensors)}
    assert lines(layouts, norm_type="wavelet") == []


def test_all_problems_are_found_at_once():
    assert len(lines(n_head=5, mlp_type="a", norm_type="b", block_type="c")) == 4
