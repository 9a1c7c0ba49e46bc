import pytest

from mypt.format.errors import PluginError, Problem
from mypt.format.optimizers.adamw import ADAMW
from mypt.format.optimizers.declaration import Declaration, StateNumber, StateTensor
from mypt.format.rules.optimizers.state import optimizer_problems
from tests.support.optimizer_states import (
    EMBEDDING,
    LAST,
    NORM,
    PARAMETERS,
    QKV,
    SETTINGS,
    adamw,
    mine,
    moment,
)


def problems(contents, declaration=ADAMW):
    found = optimizer_problems(contents, PARAMETERS, declaration, "optimizer.pt")
    return [(problem.where, problem.kind.removeprefix("optimizer.")) for problem in found]


def test_a_state_of_this_model_is_sound():
    assert problems(adamw()) == []
    assert problems({**adamw(), "state": {}}) == []
    assert problems(adamw(foreach=None, fused=True, decoupled_weight_decay=True)) == []
    assert problems(adamw(name="the rest", initial_lr=0.2)) == []


@pytest.mark.parametrize(
    "contents",
    [
        [],
        {},
        {"state": {}, "param_groups": []},
        {"optimizer": "adamw", "state": {}},
        {"optimizer": 3, "state": {}, "param_groups": []},
        {"optimizer": "adamw", "state": [], "param_groups": []},
    ],
)
def test_what_is_no_optimizer_state_is_refused(contents):
    assert problems(contents) == [("", "form")]


@pytest.mark.parametrize(
    ("group", "found"),
    [
        (3, [("", "form")]),
        ({**SETTINGS, "params": 3}, [("", "form")]),
        ({**SETTINGS, "params": [True]}, [("", "form")]),
        ({"params": [EMBEDDING, NORM, LAST]}, [("", "form")]),
        (
            {"lr": 0.1, "eps": 1, "weight_decay": 0.1, "params": [EMBEDDING, NORM, LAST]},
            [("", "algorithm")],
        ),
        ({**SETTINGS, "params": [EMBEDDING, NORM, LAST]}, [("", "form")]),
    ],
)
def test_a_group_of_another_form_is_refused(group, found):
    contents = adamw()
    contents["param_groups"][1] = group
    assert set(problems(contents)) >= {(f"param_groups.1{where}", kind) for where, kind in found}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decoupled_weight_decay": False}, "is of Adam"),
        ({"amsgrad": True}, "amsgrad"),
        ({"maximize": True}, "mypt minimizes the loss"),
    ],
)
def test_what_makes_other_updates_is_refused(change, said):
    (problem,) = optimizer_problems(adamw(**change), PARAMETERS, ADAMW, "optimizer.pt")
    assert problem.kind == "optimizer.algorithm"
    assert said in problem.what


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("betas", value) for value in ((0.9,), "ab", 0.9, (0.9, 1.0), ("x", "y"))),
        *(("eps", value) for value in ("x", -1.0, float("nan"), moment(), True)),
        *(("lr", value) for value in ("x", -1.0, float("inf"), None)),
        ("initial_lr", None),
        ("weight_decay", float("inf")),
        ("scale", {"a": 1}),
        ("scale", moment()),
    ],
)
def test_a_setting_that_is_no_number_is_refused(key, value):
    assert problems(adamw(**{key: value})) == [(f"param_groups.1.{key}", "form")]


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        (None, ""),
        ({}, ""),
        ({"square_avg": moment(4), "step": moment()}, ""),
        ({"exp_avg": moment(4), "step": moment()}, ""),
        ({"exp_avg": moment(4), "exp_avg_sq": "x", "step": moment()}, ".exp_avg_sq"),
        ({"exp_avg": moment(4), "exp_avg_sq": None, "step": moment()}, ".exp_avg_sq"),
        ({"exp_avg": moment(4), "exp_avg_sq": moment(4)}, ""),
        ({**adamw()["state"][LAST], "max_exp_avg_sq": moment(4)}, ""),
    ],
)
def test_an_entry_of_other_than_what_adamw_keeps_is_refused(entry, where):
    contents = adamw()
    contents["state"][LAST] = entry
    assert problems(contents) == [(f"state.{LAST}{where}", "form")]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"exp_avg": moment(5)}, "shape"),
        ({"exp_avg": 3.0}, "shape"),
        ({"step": moment(1)}, "shape"),
        ({"exp_avg": moment(4, dtype="int64")}, "dtype"),
        ({"step": moment(dtype="int64")}, "dtype"),
    ],
)
def test_tensors_must_be_those_of_their_own_parameter(change, kind):
    contents = adamw()
    contents["state"][LAST] |= change
    assert problems(contents) == [(f"state.{LAST}.{key}", kind) for key in change]


def test_moments_may_be_of_another_floating_dtype_and_steps_numbers():
    contents = adamw()
    half = {"step": 3, "exp_avg": moment(4, dtype="bfloat16"), "exp_avg_sq": moment(4)}
    contents["state"][LAST] = half
    assert problems(contents) == []


def test_an_entry_of_no_group_is_refused():
    contents = adamw()
    del contents["param_groups"][1]
    assert problems(contents) == [(f"state.{n}", "form") for n in (EMBEDDING, NORM, LAST)]


@pytest.mark.parametrize(
    ("params", "where", "said"),
    [
        ([EMBEDDING, NORM, LAST, "x"], "param_groups.1", "holds x, which is no parameter"),
        ([EMBEDDING, NORM, LAST, QKV], "param_groups.1", f"holds {QKV} a second time"),
        ([EMBEDDING, LAST], "param_groups", f"hold 3 of the model's 4 parameters, not {NORM}"),
    ],
)
@pytest.mark.parametrize("declaration", [ADAMW, None])
def test_the_groups_hold_each_parameter_once_whoever_made_them(params, where, said, declaration):
    contents = {**adamw(params=params), "state": {}}
    (problem,) = optimizer_problems(contents, PARAMETERS, declaration, "optimizer.pt")
    assert (problem.where, problem.kind) == (where, "optimizer.groups")
    assert said in problem.what


def factored(parameter, group):
    if group["name"] == "rows":
        return {"rows": StateTensor(parameter.shape[:1], "float16"), "count": StateNumber()}
    return {"momentum": StateTensor(parameter.shape)}


MINE = Declaration(state=factored, settings=("name",), progress=("k",))


def test_each_group_of_a_plugins_optimizer_has_a_rule_of_its_own():
    assert problems(mine(), MINE) == []
    contents = mine()
    contents["state"][QKV] = {"momentum": moment(12, 4)}
    contents["state"][LAST] = {"momentum": moment(4, dtype="int8")}
    assert problems(contents, MINE) == [
        (f"state.{QKV}", "form"),
        (f"state.{LAST}.momentum", "dtype"),
    ]
    contents = mine()
    contents["state"][QKV] = {"rows": moment(12), "count": moment()}
    assert problems(contents, MINE) == [
        (f"state.{QKV}.rows", "dtype"),
        (f"state.{QKV}.count", "form"),
    ]
    contents = mine()
    del contents["param_groups"][0]["k"]
    assert problems(contents, MINE) == [("param_groups.0", "form")]


def test_of_an_optimizer_that_nobody_here_offers_only_names_and_form_are_checked():
    contents = mine()
    contents["state"][QKV] = {"anything": moment(3), "count": 1}
    assert problems(contents, None) == []
    contents["state"][QKV] = {"anything": "a text"}
    assert problems(contents, None) == [(f"state.{QKV}.anything", "form")]


def test_a_declaration_that_fails_is_told_as_the_plugins_fault():
    def fail(parameter, group):
        raise PluginError(Problem("", "plugin x", "failed in `state`", "update it"))

    (problem,) = optimizer_problems(mine(), PARAMETERS, Declaration(state=fail), "optimizer.pt")
    assert (problem.what, problem.fix) == (
        "cannot be checked: failed in `state`",
        "update the plugin",
    )


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (3, []),
        (0.5, []),
        (True, []),
        ("3", [("param_groups.0.k", "form")]),
        ([3], [("param_groups.0.k", "form")]),
        (None, [("param_groups.0.k", "form")]),
        (float("nan"), [("param_groups.0.k", "form")]),
    ],
)
def test_progress_is_a_number(count, found):
    group = {"lr": 0.1, "k": count, "params": [*PARAMETERS]}
    contents = {"optimizer": "mine", "state": {}, "param_groups": [group]}
    assert problems(contents, Declaration(state=lambda *_: {}, progress=("k",))) == found
