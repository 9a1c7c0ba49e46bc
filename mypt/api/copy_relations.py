"""Relations between the checkpoints of a folder: which are copies of others, as they record it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from mypt.format.bundle.copy_name import parse_copy_name
from mypt.format.storage.files import ensure_basename

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping
    from pathlib import Path

LINK, SAME_WEIGHTS, SAME_RUN, COPY = "link", "same weights", "same run", "copy"


@frozen(kw_only=True)
class Member:
    """What shows whose copy a checkpoint is.

    Attributes:
        path: Where it is.
        modified: When it was saved, in seconds since 1970; None where that cannot be seen.
        step: Updates done; None where that is not recorded.
        copy_of: Name of the model that it records to be a copy of.
        run_id: Its run.
        digest: SHA-256 of its weights, by its manifest.
        target: Where it leads, if it is a link.
    """

    path: Path
    modified: float | None
    step: int | None = None
    copy_of: str | None = None
    run_id: str | None = None
    digest: str | None = None
    target: Path | None = None


class Relation(NamedTuple):
    """How a checkpoint is a copy: `gold`, `fp16`, `step` or as above, and of which path or name."""

    kind: str
    of: Path | str


def find_relations(members: Iterable[Member]) -> dict[Path, Relation]:
    """Find out which of several checkpoints are copies, of each other or of a model elsewhere.

    Of several with the same weights, or of the same run, the one that was trained longest, then
    the oldest, is the original: which was there first is not recorded.

    Returns:
        The relation of each copy, by its path.
    """
    found: dict[Path, Relation] = {}
    members = list(members)
    real = [member for member in members if member.target is None]
    models = {member.path: member for member in real if member.copy_of is None}
    originals = dict(models)
    places: dict[Path, Path] = {}
    for link in members:
        if link.target is not None:
            places = places or {member.path.resolve(): member.path for member in real}
            found[link.path] = Relation(LINK, places.get(link.target, str(link.target)))
    for kind, key in ((SAME_WEIGHTS, _digest_of), (SAME_RUN, _run_of)):
        for first, *others in _group(originals.values(), key):
            for other in others:
                found[other.path] = Relation(kind, first.path)
                del originals[other.path]
    by_run = {member.run_id: member.path for member in originals.values()}
    for member in real:
        if member.copy_of is not None:
            found[member.path] = _relate_copy(member, member.copy_of, models, by_run)
    return found


def _relate_copy(
    member: Member,
    model: str,
    models: Mapping[Path, Member],
    by_run: Mapping[str | None, Path],
) -> Relation:
    """Return the relation of a copy that a run made, to the model beside it or of the same run."""
    name = parse_copy_name(member.path.name)
    kind = COPY if name is None else str(name.kind)
    beside = ensure_basename(member.path).with_name(model)
    if beside in models:
        return Relation(kind, beside)
    return Relation(kind, model if member.run_id is None else by_run.get(member.run_id, model))


def _digest_of(member: Member) -> Hashable:
    return member.digest


def _run_of(member: Member) -> Hashable:
    return member.run_id


def _group(members: Iterable[Member], key: Callable[[Member], Hashable]) -> list[list[Member]]:
    """Return the groups of several members with the same key, the original of each first."""
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    for member in members:
        if key(member) is not None:
            groups[key(member)].append(member)
    return [sorted(group, key=_age) for group in groups.values() if len(group) > 1]


def _age(member: Member) -> tuple[int, float, str]:
    return -(member.step or 0), member.modified or 0.0, str(member.path)
