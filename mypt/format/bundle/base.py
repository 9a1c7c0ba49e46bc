"""Find the base that an adapter belongs to, by where it was and by the digest of its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.format.bundle.detect import classify
from mypt.format.errors import FormatError, Problem
from mypt.format.storage import files
from mypt.format.storage.generations import committed_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypt.format.documents.config_parts.adapter import Adapter
    from mypt.format.errors import Severity

KIND = "adapter.base"
_SHOWN = 12  # hexadecimal digits of a digest, in messages
_HOW = "name it by --base, or in Python by load(base=...)"


def find_base(folder: Path, adapter: Adapter, given: Path | None = None) -> Path:
    """Return where the base of an adapter is.

    Args:
        folder: The bundle of the adapter.
        adapter: What its config says of it.
        given: Where the user says that it is; by default it is looked for beside the adapter, and
            where it was.

    Raises:
        FormatError: It is not there, or what is there has other weights.
        OSError: It cannot be read.
    """
    places = list_places(folder, adapter) if given is None else [given]
    found = {place: digest_weights(place) for place in places if files.is_present(place)}
    for place, digest in found.items():
        if digest == adapter.base_sha256:
            return place
    file, wanted = str(folder / files.CONFIG), adapter.base_sha256[:_SHOWN]
    if not found:
        what = (
            f'is "{adapter.base}", which is not there: looked for {" and ".join(map(str, places))}'
        )
        fix = f"put the model whose weights have the SHA-256 {wanted}... there, or {_HOW}"
        raise FormatError(Problem(file, "/adapter/base", what, fix, kind=KIND))
    what = " and ".join(f"{place} has {digest[:_SHOWN]}..." for place, digest in found.items())
    what = f"is {wanted}..., but {what}: not the weights that the adapter was trained beside"
    fix = f"restore that model, or {_HOW}"
    raise FormatError(Problem(file, "/adapter/base_sha256", what, fix, kind=KIND))


def list_places(folder: Path, adapter: Adapter) -> list[Path]:
    """Return where the base of an adapter may be, the likeliest first."""
    recorded, parent = Path(adapter.base), folder.absolute().parent
    beside = folder.parent if folder.name else parent
    return list(dict.fromkeys((beside / recorded.name, beside / recorded, recorded)))


def digest_weights(path: Path) -> str:
    """Return the SHA-256 of the weights of a checkpoint: of a bundle, what its manifest says.

    Of several files it is that of their digests.

    Raises:
        FormatError: A manifest is damaged, or it is being saved.
        OSError: A file cannot be read.
    """
    if classify(path) != "bundle":
        return _join_digests(list_weight_files(path))
    manifest, paths = committed_files(path)
    record = manifest.files.get(files.MODEL) if manifest else None
    if record is not None:
        return record.sha256
    return _join_digests([paths[files.MODEL]] if files.MODEL in paths else [])


def list_weight_files(path: Path) -> list[Path]:
    """Return the files with the weights; of a format whose files mypt does not know, all files."""
    if files.is_regular_file(path):
        return [path]
    known = sorted(file for form in ("*.pt", "*.safetensors", "*.bin") for file in path.glob(form))
    return known or sorted(file for file in path.rglob("*") if files.is_regular_file(file))


def base_problems(
    folder: Path, adapter: Adapter, severity: Severity = "warning"
) -> Iterator[Problem]:
    """Yield a problem if the base of an adapter is not there, without which it does not open."""
    try:
        find_base(folder, adapter)
    except FormatError as error:
        yield from (evolve(problem, severity=severity) for problem in error.problems)
    except OSError as error:
        place = str(folder / files.CONFIG)
        yield evolve(files.unreadable_problem(error, place), severity=severity)


def _join_digests(held: Sequence[Path]) -> str:
    digests = [files.digest_file(path, str(path)) for path in held]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()
