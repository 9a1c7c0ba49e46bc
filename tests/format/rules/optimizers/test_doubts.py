from mypt.format.optimizers.adamw import ADAMW
from mypt.format.optimizers.declaration import Declaration, StateTensor
from mypt.format.rules.optimizers.doubts import doubt_problems, unknown_problem
from tests.support.optimizer_states import (
    EMBEDDING,
    LAST,
    NORM,
    PARAMETERS,
    QKV,
    adamw,
    mine,
)


def doubts(contents, step=3, declaration=ADAMW, **training):
    state = {"step": step, "training_config": training}
    found = doubt_problems(contents, PARAMETERS, declaration, state, "x/optimizer.pt")
    assert {problem.severity for problem in found} <= {"warning"}
    return [problem.what for problem in found]


def test_an_entry_that_is_not_there_is_a_warning_unless_it_never_was():
    contents = adamw()
    assert doubts(contents) == []
    del contents["state"][EMBEDDING], contents["state"][NORM]
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
    assert doubts(adamw(), weight_decay_on="matrices") == [
        "was used with weight_decay 0.0, but training_config says 0.1"
    ]
    whole = {"beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "weight_decay_on": "linear"}
    whole |= {"freeze_layers": 0, "freeze_embeddings": False, "optimizer": "adamw"}
    assert doubts(adamw(), **whole) == []
    assert doubts(adamw(lr=0.2)) == [
        "was used with learning rates of 0.1 and 0.2, of which a resume makes one: "
        "no `initial_lr` names their peaks"
    ]


def test_the_state_of_another_optimizer_is_left_for_a_fresh_one():
    what = "is of adamw, but training_config says mine: what does not fit that begins anew"
    assert doubts(adamw(), optimizer="mine") == [what]
    assert doubts(mine(), declaration=None) == [
        "is of mine, but training_config says adamw: what does not fit that begins anew"
    ]


def test_of_another_optimizer_than_adamw_an_entry_is_missed_where_it_is_declared():
    def state(parameter, group):
        return {} if parameter.name == NORM else {"momentum": StateTensor(parameter.shape)}

    contents = mine()
    del contents["state"][NORM], contents["state"][LAST]
    declared = Declaration(state=state)
    assert doubts(contents, declaration=declared, optimizer="mine") == [
        "has no state of 1 parameter (ln_f.weight)"
    ]
    del contents["state"][QKV]
    assert doubts(contents, declaration=None, optimizer="mine") == []


def test_an_optimizer_that_nobody_here_offers_is_a_warning_with_the_packages():
    problem = unknown_problem("mine", ["acme-sgd"], "optimizer.pt")
    assert problem.severity == "warning"
    assert 'is "mine", which no installed plugin offers' in problem.what
    assert "install acme-sgd" in problem.fix
    assert "install the plugin that brings it" in unknown_problem("mine", [], "x").fix
