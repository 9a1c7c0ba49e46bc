import pytest

from mypt.format.errors import FormatError, Problem
from mypt.format.readers.shared.optimizer import try_optimizer


def test_a_state_that_can_be_read_has_no_problem():
    assert try_optimizer(lambda: 3, "x.pt") == (3, ())


def test_an_error_of_the_format_is_passed_on_as_it_is():
    problem = Problem("x.pt", "", "is not that of the model", "restore it")

    def read():
        raise FormatError(problem)

    assert try_optimizer(read, "x.pt") == (None, (problem,))


@pytest.mark.parametrize("read", [lambda: {}["a"], lambda: [][0], lambda: 3 / 0, lambda: int("x")])
def test_a_surprise_is_a_problem_of_the_file(read):
    state, (problem,) = try_optimizer(read, "x.pt")
    assert state is None
    assert (problem.file, problem.kind) == ("x.pt", "optimizer.form")


def test_a_bug_is_not_swallowed():
    with pytest.raises(NameError):
        try_optimizer(lambda: nothing, "x.pt")  # noqa: F821
