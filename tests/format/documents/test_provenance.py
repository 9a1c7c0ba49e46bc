from mypt.format.documents.provenance import (
    MOST_EARLIER_RUNS,
    GitState,
    Provenance,
    describe_git,
    limit_runs,
)


def test_runs_are_alike_whatever_step_they_began_from():
    run = Provenance(start_step=0, command=("mypt", "train"))
    assert run.is_like(Provenance(start_step=7, command=("mypt", "train")))
    assert not run.is_like(Provenance(start_step=0, command=("mypt", "rerun")))


def test_of_many_runs_the_first_and_the_latest_are_kept():
    runs = tuple(Provenance(start_step=step) for step in range(100))
    kept = limit_runs(runs)
    assert len(kept) == MOST_EARLIER_RUNS
    assert [run.start_step for run in kept] == [0, *range(37, 100)]
    assert limit_runs(runs[:64]) == runs[:64]


def test_a_commit_is_named_in_short_with_its_changes():
    commit = "0123456789abcdef" * 2 + "01234567"
    assert describe_git(GitState(commit=commit, dirty=False)) == "0123456789ab"
    assert describe_git(GitState(commit=commit, dirty=True)) == "0123456789ab with changes"
    assert describe_git(None) == "no repository"
