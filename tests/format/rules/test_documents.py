import pytest

from mypt.format.rules.documents import document_problems

TEXT = {"input_file": "a.txt"}


def found(*phases):
    state = {"format_version": "2.0", "step": 0, "training_config": {"curriculum": list(phases)}}
    return [(p.where, p.what) for p in document_problems("training_state", state, "x.json")]


def test_phases_that_follow_one_another_are_well():
    assert found() == []
    assert found({"name": "a", **TEXT}) == []
    assert found({"name": "a", "until_iter": 5, **TEXT}, {"name": "b", "dataset_dir": "d"}) == []


@pytest.mark.parametrize(
    ("phases", "where", "what"),
    [
        ([{"name": "a", **TEXT}, {"name": "b", **TEXT}], "0/until_iter", "is missing"),
        (
            [{"name": "a", "until_iter": 5, **TEXT}, {"name": "b", "until_iter": 5, **TEXT}],
            "1/until_iter",
            "is 5, but the phase begins at step 5",
        ),
        (
            [{"name": "a", "until_iter": 5, **TEXT}, {"name": "a", **TEXT}],
            "1/name",
            'is "a", which an earlier phase is named too',
        ),
        ([{"name": "a"}], "0", "must have one of input_file, dataset_dir and mixture"),
        ([{"name": "a", "dataset_dir": "d", **TEXT}], "0", "must have one of"),
    ],
)
def test_phases_that_do_not_follow_one_another_are_pointed_at(phases, where, what):
    ((place, said),) = found(*phases)
    assert place == f"/training_config/curriculum/{where}"
    assert said.startswith(what)


def test_a_preset_is_held_to_the_same():
    (problem,) = document_problems("preset", {"curriculum": [{"name": "a"}]}, "mine.json")
    assert problem.where == "/curriculum/0"
