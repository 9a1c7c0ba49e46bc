import pytest

from mypt.format.rules.curriculum import curriculum_problems


def make_phase(name, until=None, **fields):
    return {"name": name, "until_iter": until, "input_file": "a.txt", **fields}


def places(*phases):
    found = curriculum_problems({"curriculum": phases}, "config.json", "/training")
    return [problem.where.removeprefix("/training/curriculum/") for problem in found]


@pytest.mark.parametrize(
    ("phases", "wanted"),
    [
        ([], []),
        ([make_phase("easy", 3), make_phase("hard", 9)], []),
        ([make_phase("easy", 3), make_phase("hard")], []),
        ([make_phase("easy", 3), make_phase("easy")], ["1/name"]),
        ([make_phase("easy"), make_phase("hard")], ["0/until_iter"]),
        ([make_phase("easy", 3), make_phase("hard", 3)], ["1/until_iter"]),
        ([make_phase("easy", input_file=None)], ["0"]),
        ([make_phase("easy", dataset_dir="data")], ["0"]),
    ],
)
def test_phases_follow_one_another_and_each_has_one_source(phases, wanted):
    assert places(*phases) == wanted
