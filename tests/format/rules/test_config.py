import pytest
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, PartLayout, no_tensors
from mypt.format.rules.config import architecture_problems, layout_problems

FIELDS = {"n_embd": 12, "n_head": 3, "n_layer": 2, "vocab_size": 5, "block_size": 8}

REACH = {"factor": 2.0, "original_block_size": 8}
LLAMA3 = {"kind": "llama3", **REACH, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


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
        {"n_kv_head": 1},
        {"n_kv_head": 3, "qk_norm": "head"},
        {"pos_encoding": "rope", "rope_size": 2, "rope_pattern": "RRRN"},
        {"pos_encoding": "rope", "rope_size": 2, "head_size": 5},
        {"sliding_window": 4},
        {"sliding_window": 4, "window_pattern": "SF"},
        {"pos_encoding": "rope", "sliding_window": 4, "rope_theta_sliding": 5.0, "rope_scale": 2.0},
        {"pos_encoding": "rope", "rope_scaling": {"kind": "dynamic", **REACH}},
        {"pos_encoding": "rope", "rope_scaling": LLAMA3},
        {"pos_encoding": "rope", "rope_scaling": {"kind": "yarn", **REACH, "beta_slow": 32.0}},
        {"norm_weight": False},
        {"norm_weight": False, "norm_bias": True},
        {"norm_offset": 1.0, "final_norm": False, "embedding_norm": True},
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


NOT_LEARNED = "is set, but pos_encoding is learned, which rotates nothing; set it to null, or"
NO_WINDOW = (
    "but sliding_window is null: no layer is windowed; set it to null, or set sliding_window"
)


def with_scaling(**changed):
    return {"pos_encoding": "rope", "rope_scaling": {**REACH, **changed}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"n_kv_head": 2}, "n_kv_head: is 2, which does not divide n_head (3); choose 1 or 3"),
        ({"n_kv_head": 6}, "n_kv_head: is 6, which does not divide n_head (3); choose 1 or 3"),
        ({"rope_size": 2}, f"rope_size: {NOT_LEARNED}"),
        ({"rope_pattern": "RN"}, f"rope_pattern: {NOT_LEARNED}"),
        ({"rope_scaling": LLAMA3}, f"rope_scaling: {NOT_LEARNED}"),
        (
            {"rope_theta_sliding": 5.0, "sliding_window": 4},
            f"rope_theta_sliding: {NOT_LEARNED}",
        ),
        (
            {"pos_encoding": "rope", "rope_size": 6},
            "rope_size: is 6, but heads are 4 wide; set it to at most 4, or to null",
        ),
        ({"window_pattern": "SF"}, f'window_pattern: is "SF", {NO_WINDOW}'),
        (
            {"pos_encoding": "rope", "rope_theta_sliding": 5.0},
            f"rope_theta_sliding: is 5.0, {NO_WINDOW}",
        ),
        (
            with_scaling(kind="yarn", low_freq_factor=1.0),
            "rope_scaling/low_freq_factor: is set, but only llama3 uses it, and the kind is yarn; "
            "leave it out",
        ),
        (
            with_scaling(kind="dynamic", truncate=False),
            "rope_scaling/truncate: is set, but only yarn uses it, and the kind is dynamic",
        ),
        (
            with_scaling(kind="llama3", low_freq_factor=1.0),
            "rope_scaling/high_freq_factor: is missing, but llama3 needs it; write that of the",
        ),
        (
            with_scaling(kind="llama3", low_freq_factor=4.0, high_freq_factor=4.0),
            "rope_scaling/high_freq_factor: is 4, not above low_freq_factor (4); make it the",
        ),
        (
            with_scaling(kind="yarn", beta_fast=0.5),
            "rope_scaling/beta_fast: is 0.5, below beta_slow (1); make it the larger one",
        ),
        (
            {**with_scaling(kind="yarn"), "rope_theta": 1.0},
            "rope_theta: is 1, but yarn needs frequencies that fall; choose a number above 1",
        ),
        (
            {**with_scaling(kind="dynamic"), "rope_size": 2},
            "rope_scaling/kind: is dynamic, which has no effect on the one frequency of 2 rotated",
        ),
        (
            {"norm_weight": False, "norm_offset": 1.0},
            "norm_offset: is 1, but norm_weight is false: it is added to no weights; set it to 0",
        ),
    ],
)
def test_fields_that_do_not_go_together_are_refused_with_the_reason(changed, said):
    (line,) = lines(**changed)
    assert line.startswith(f"config.json#/{said}")


def test_only_norms_of_mypt_can_norm_queries_and_keys():
    layouts = {**BUILT_IN, ("norm_type", "wavelet"): PartLayout(no_tensors)}
    assert lines(layouts, norm_type="wavelet", qk_norm="head") == [
        "config.json#/qk_norm: is head, but norm_type is wavelet, which is not mypt's own; "
        "set it to null, or norm_type to layernorm or rmsnorm"
    ]


def test_positions_of_a_plugin_may_use_the_fields_of_rotation():
    layouts = {**BUILT_IN, ("pos_encoding", "turning"): PartLayout(no_tensors)}
    assert lines(layouts, pos_encoding="turning", rope_pattern="RN", rope_size=2) == []


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


def list_factors(config):
    return {"table.weight": (config.vocab_size, 2)}


@pytest.mark.parametrize("slot", ["embedding_type", "head_type"])
def test_only_what_has_a_weight_of_the_right_shape_is_tied(slot):
    layouts = {**BUILT_IN, (slot, "factored"): PartLayout(list_factors)}
    config = GPTConfig(vocab_size=11, n_embd=8, n_head=2, **{slot: "factored"})
    assert layout_problems(config, "config.json", layouts) == []
    (problem,) = layout_problems(evolve(config, tie_weights=True), "config.json", layouts)
    what = f"is true, but {slot} `factored` has no `weight` of shape (11, 8)"
    fix = f"set it to false, or choose another {slot}"
    assert str(problem) == f"config.json#/tie_weights: {what}; {fix}"
