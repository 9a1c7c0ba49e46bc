"""How the runs of a training were started: by which command, programs and settings."""

from collections.abc import Mapping
from typing import Any

from attrs import evolve, field, frozen

# Of so many runs before the last one a training state tells: of the first, and of the latest.
MOST_EARLIER_RUNS = 64


@frozen(kw_only=True)
class GitState:
    """The state of the git repository that a run was started in.

    Attributes:
        commit: Name of the commit that was checked out.
        dirty: Whether tracked files had changes that were not committed.
    """

    commit: str
    dirty: bool
    extra: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Provenance:
    """How a run was started. Runs that go on from one another and are alike count as one.

    Attributes:
        start_step: The step that it began from.
        command: The words of the command line, without absolute paths; None if it was started from
            Python.
        versions: Versions of programs by name; of the last run without those that its environment
            has.
        git: State of the working folder; None where it is in no repository.
        config_sha256: Digest of its settings, see `mypt.format.documents.settings_digest`.
    """

    start_step: int
    command: tuple[str, ...] | None = None
    versions: Mapping[str, str] = field(factory=dict)
    git: GitState | None = None
    config_sha256: str | None = None
    extra: Mapping[str, Any] = field(factory=dict)

    def is_like(self, other: "Provenance") -> bool:
        """Return whether another run was started in the same way, from whatever step."""
        return evolve(self, start_step=other.start_step) == other


def describe_git(git: GitState | None) -> str:
    """Return the commit, and whether files differed from it, in words."""
    if git is None:
        return "no repository"
    return f"{git.commit[:12]} with changes" if git.dirty else git.commit[:12]


def limit_runs(runs: tuple[Provenance, ...]) -> tuple[Provenance, ...]:
    """Return the first and the latest of many runs, `MOST_EARLIER_RUNS` together."""
    if len(runs) <= MOST_EARLIER_RUNS:
        return runs
    return (runs[0], *runs[1 - MOST_EARLIER_RUNS :])
