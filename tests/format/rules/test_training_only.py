import pytest

from mypt.format.errors import Problem
from mypt.format.rules.training_only import concerns_training, may_hold_optimizer

NAMES = ("m/training_state.json", "m/adam.pt")


@pytest.mark.parametrize(
    ("file", "where", "kind", "expected"),
    [
        ("m/adam.pt", "", "archive", True),
        ("m/adam.pt", "", "pickle.malformed", True),
        ("m/adam.pt", "", "pickle.global", False),
        ("m/adam.pt", "", "pickle.opcode", False),
        ("m/training_state.json", "/step", "schema.minimum", True),
        ("m/training_state.json", "", "version.newer", True),
        ("m/training_state.json", "/optimizer_file", "schema.maxLength", True),
        ("m/training_state.json", "/optimizer_file", "schema.pattern", False),
        ("m/model.pt", "", "archive", False),
        ("m/config.json", "/n_layer", "config.mismatch", False),
    ],
)
def test_what_is_wrong_and_where_tells_whom_it_concerns(file, where, kind, expected):
    assert concerns_training(Problem(file, where, "", "", kind=kind), NAMES) is expected


def test_no_other_file_of_a_bundle_holds_the_optimizer():
    assert may_hold_optimizer("adam.pt")
    for name in ("model.pt", "config.json", "tokenizer.json", "training_state.json"):
        assert not may_hold_optimizer(name)
