import pytest

from mypt.format.rules.optimizer_state import (
    doubt_problems,
    optimizer_problems,
    possible_rules,
)
from mypt.format.tensors.info import TensorInfo

SHAPES = {
    "token_embedding_table.weight": (5, 4),
    "blocks.0.ln1.weight": (4,),
    "blocks.0.sa.qkv.weight": (12, 4),
    "ln_f.weight": (4,),
}
ORDER = ("blocks.0.sa.qkv.weight", *(n for n in SHAPES if "qkv" not in n))
SETTINGS = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8}


def moment(*shape):
    return TensorInfo("float32", shape, (1,) * len(shape), "0", 0, 4)


def adamw(**changes):
    """A state of `linear` groups; `changes` are made in its second group."""
    state = {
        index: {
            "step": moment(),
            "exp_avg": moment(*SHAPES[name]),
            "exp_avg_sq": moment(*SHAPES[name]),
        }
        for index, name in enumerate(ORDER)
    }
    groups = [
        {**SETTINGS, "weight_decay": 0.1, "params": [0]},
        {**SETTINGS, "weight_decay": 0.0, "params": [1, 2, 3], **changes},
    ]
    return {"state": state, "param_groups": groups}


def problems(contents, rules=("linear",)):
    found = optimizer_problems(contents, SHAPES, rules, "optimizer.pt")
    return [(problem.where, problem.kind.removeprefix("optimizer.")) for problem in found]


def test_a_state_of_this_model_is_sound():
    assert problems(adamw()) == []
    assert problems({**adamw(), "state": {}}) == []
    assert problems(adamw(foreach=None, fused=True, decoupled_weight_decay=True)) == []


@pytest.mark.parametrize("contents", [[], {}, {"state": {}}, {"state": [], "param_groups": []}])
def test_what_is_no_optimizer_state_is_refused(contents):
    assert problems(contents) == [("", "form")]


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        (3, "form"),
        ({**SETTINGS, "params": 3}, "form"),
        ({**SETTINGS, "params": [True]}, "form"),
        ({"lr": 0.1, "alpha": 0.99, "params": [1, 2, 3]}, "algorithm"),
    ],
)
def test_a_group_of_another_form_is_refused(group, kind):
    contents = adamw()
    contents["param_groups"][1] = group
    assert problems(contents) == [("param_groups.1", kind)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decoupled_weight_decay": False}, "is of Adam"),
        ({"amsgrad": True}, "amsgrad"),
        ({"maximize": True}, "mypt minimizes the loss"),
    ],
)
def test_what_makes_other_updates_is_refused(change, said):
    (problem,) = optimizer_problems(adamw(**change), SHAPES, ("linear",), "optimizer.pt")
    assert problem.kind == "optimizer.algorithm"
    assert said in problem.what


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("betas", value) for value in ((0.9,), "ab", 0.9, (0.9, 1.0), ("x", "y"))),
        *(("eps", value) for value in ("x", -1.0, float("nan"), moment(), True)),
        ("initial_lr", None),
        ("weight_decay", float("inf")),
    ],
)
def test_a_setting_that_is_no_number_is_refused(key, value):
    assert problems(adamw(**{key: value})) == [(f"param_groups.1.{key}", "form")]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"square_avg": moment(4), "step": moment()},
        {"exp_avg": moment(4), "step": moment()},
        {"exp_avg": moment(4), "exp_avg_sq": 3.0, "step": moment()},
        {"exp_avg": moment(4), "exp_avg_sq": moment(4)},
        {"exp_avg": moment(4), "exp_avg_sq": moment(4), "step": moment(1)},
    ],
)
def test_an_entry_without_what_adamw_needs_is_refused(entry):
    contents = adamw()
    contents["state"][3] = entry
    assert problems(contents) == [("state.3", "form")]


def test_an_entry_of_no_group_is_refused():
    contents = adamw()
    del contents["param_groups"][1]
    assert problems(contents) == [(f"state.{index}", "form") for index in (1, 2, 3)]


def test_moments_must_have_the_shape_of_their_own_parameter():
    contents = adamw()
    state = contents["state"]
    state[0], state[1] = state[1], state[0]  # of shapes that the model has
    assert problems(contents) == [
        ("state.0.exp_avg", "shape"),
        ("state.0.exp_avg_sq", "shape"),
        ("state.1.exp_avg", "shape"),
        ("state.1.exp_avg_sq", "shape"),
    ]


@pytest.mark.parametrize("sizes", [[[0, 1, 2, 3]], [[0, 1], [2, 3]], [[0], [1, 2]], []])
def test_groups_of_other_sizes_are_refused(sizes):
    contents = {"state": {}, "param_groups": [{**SETTINGS, "params": p} for p in sizes]}
    assert problems(contents) == [("param_groups", "groups")]
    assert "[1, 3] (weight_decay_on linear)" in str(
        optimizer_problems(contents, SHAPES, ("linear",), "optimizer.pt")[0]
    )


def test_the_training_state_says_which_groups_there_are():
    assert possible_rules(None) == ("linear", "matrices", "all")
    assert possible_rules({}) == ("linear",)
    assert possible_rules({"training_config": {"weight_decay_on": "all"}}) == ("all",)
    one = {"state": {}, "param_groups": [{**SETTINGS, "params": [0, 1, 2, 3]}]}
    assert problems(one, possible_rules(None)) == []


def test_groups_may_be_cut_by_what_is_their_own():
    contents = adamw(params=[1], initial_lr=0.1)
    contents["param_groups"].append({**SETTINGS, "params": [2, 3], "initial_lr": 0.2})
    assert problems(contents) == []


def doubts(contents, step=3, **training):
    state = {"step": step, "training_config": training}
    found = doubt_problems(contents, SHAPES, state, "optimizer.pt")
    assert {problem.severity for problem in found} <= {"warning"}
    return [problem.what for problem in found]


def test_an_entry_that_is_not_there_is_a_warning_unless_it_never_was():
    contents = adamw()
    assert doubts(contents) == []
    del contents["state"][1], contents["state"][2]
    what = "has no moments of 2 parameters (token_embedding_table.weight, blocks.0.ln1.weight)"
    assert doubts(contents) == [what]
    assert doubts(contents, freeze_embeddings=True) == [
        "has no moments of 1 parameter (blocks.0.ln1.weight)"
    ]
    assert doubts(contents, freeze_embeddings=True, freeze_layers=1) == []
    assert doubts({**contents, "state": {}}, step=0) == []
    assert "4 parameters (blocks.0.sa.qkv.weight, token" in doubts({**contents, "state": {}})[0]


def test_settings_other_than_those_of_a_resume_are_a_warning():
    assert doubts(adamw(betas=[0.9, 0.999])) == [
        "was used with betas (0.9, 0.999), but training_config says (0.9, 0.95)"
    ]
    assert doubts(adamw(), weight_decay=0.2) == [
        "was used with weight_decay 0.1, but training_config says 0.2"
    ]
    assert doubts(adamw(weight_decay=0.1)) == [
        "was used with weight_decay 0.1, but training_config says 0.0"
    ]
    whole = {"beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "weight_decay_on": "linear"}
    assert doubts(adamw(), **whole, freeze_layers=0, freeze_embeddings=False) == []
    assert doubts(adamw(lr=0.2)) == [
        "was used with learning rates of 0.1 and 0.2, of which a resume makes one: "
        "no `initial_lr` names their peaks"
    ]
