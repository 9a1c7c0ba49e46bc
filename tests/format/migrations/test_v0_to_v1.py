from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.migrations.v0_to_v1 import V0_TO_V1


def make_checkpoint(**fields):
    return Checkpoint(version="0", config={"n_layer": 1}, tensors={}, **fields)


def test_an_optimizer_gets_the_name_of_its_file():
    given = make_checkpoint(optimizer={"state": {}}, training_state={"step": 3})
    upgraded = V0_TO_V1.apply(given)
    assert upgraded.version == V0_TO_V1.target
    assert upgraded.training_state == {"step": 3, "optimizer_file": "optimizer.pt"}
    assert given.training_state == {"step": 3}


def test_without_step_and_optimizer_there_is_no_state():
    assert V0_TO_V1.apply(make_checkpoint(training_state=None)).training_state is None
