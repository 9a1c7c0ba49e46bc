import pytest

from mypt.format.rules.optimizers.indexed import convert_indexed, possible_rules
from mypt.format.tensors.info import TensorInfo

SHAPES = {
    "token_embedding_table.weight": (5, 4),
    "blocks.0.ln1.weight": (4,),
    "blocks.0.sa.qkv.weight": (12, 4),
    "ln_f.weight": (4,),
}
ORDER = ("blocks.0.sa.qkv.weight", *(n for n in SHAPES if "qkv" not in n))
SETTINGS = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}


def moment(*shape):
    return TensorInfo("float32", shape, (1,) * len(shape), "0", 0, 4)


def adamw(*groups):
    state = {
        index: {
            "step": moment(),
            "exp_avg": moment(*SHAPES[name]),
            "exp_avg_sq": moment(*SHAPES[name]),
        }
        for index, name in enumerate(ORDER)
    }
    listed = [{**SETTINGS, "params": group} for group in groups or ([0], [1, 2, 3])]
    return {"state": state, "param_groups": listed}


def problems(contents, rules=("linear",)):
    _, found = convert_indexed(contents, SHAPES, rules, "optimizer.pt")
    return [(problem.where, problem.kind.removeprefix("optimizer.")) for problem in found]


def test_a_state_of_this_model_gets_names():
    named, found = convert_indexed(adamw(), SHAPES, ("linear",), "optimizer.pt")
    assert found == []
    assert [*named["state"]] == [*ORDER]
    assert [group["params"] for group in named["param_groups"]] == [[ORDER[0]], [*ORDER[1:]]]


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
        ({**SETTINGS, "amsgrad": True, "params": [1, 2, 3]}, "algorithm"),
    ],
)
def test_a_group_of_another_form_is_refused(group, kind):
    contents = adamw()
    contents["param_groups"][1] = group
    assert problems(contents) == [("param_groups.1", kind)]


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {},
        {"square_avg": moment(4), "step": moment()},
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


@pytest.mark.parametrize("sizes", [[[0, 1, 2, 3]], [[0, 1], [2, 3]], [[0], [1, 2]], []])
def test_groups_of_other_sizes_are_refused(sizes):
    contents = {"state": {}, "param_groups": [{**SETTINGS, "params": p} for p in sizes]}
    assert problems(contents) == [("param_groups", "groups")]
    _, (problem,) = convert_indexed(contents, SHAPES, ("linear",), "optimizer.pt")
    assert "[1, 3] (weight_decay_on linear)" in problem.what


def test_the_training_state_says_which_groups_there_are():
    assert possible_rules(None) == ("linear", "matrices", "all")
    assert possible_rules({}) == ("linear",)
    assert possible_rules({"training_config": {"weight_decay_on": "all"}}) == ("all",)
    assert problems(adamw([0, 1, 2, 3]), possible_rules(None)) == []
