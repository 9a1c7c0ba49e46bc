"""Files that a reader meets beside its own: of others, damaged, and written to do harm."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from mypt.format.bundle.write import save_bundle
from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.storage.commit import open_for_writing
from mypt.format.storage.files import is_folder, is_regular_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TINY = GPTConfig(block_size=4, vocab_size=5, n_embd=4, n_head=2, n_layer=1)


@frozen
class Trap:
    """An object that makes a folder when it is unpickled, as another could run any program."""

    place: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the call that unpickling makes."""
        return os.mkdir, (self.place,)


def write_strangers(folder: Path) -> dict[str, Path]:
    """Write what no reader may claim; return it by what it is."""
    folder.mkdir()
    contents = {
        "an empty file": ("empty.bin", b""),
        "a text": ("notes.txt", b"model = {'n_layer': 2}\n" * 40),
        "a file of zeros": ("zeros.pt", bytes(4096)),
        "an empty JSON object": ("settings.json", b"{}"),
        "a JSON list": ("list.json", b"[1, 2, 3]"),
        "an empty zip archive": ("archive.zip", _make_archive({})),
        "a zip archive of a text": ("texts.npz", _make_archive({"notes.txt": b"text"})),
        "a pickle of a list": ("list.pkl", pickle.dumps([1, 2, 3])),
    }
    found = {}
    for what, (name, data) in contents.items():
        found[what] = folder / name
        found[what].write_bytes(data)
    torch.save({"weights": torch.zeros(2)}, folder / "other.pt")
    np.savez(folder / "other.npz", weights=np.zeros(2))
    found |= {"another program's .pt": folder / "other.pt"}
    found |= {"another program's .npz": folder / "other.npz"}
    found["nothing at all"] = folder / "missing"
    found["an empty folder"] = folder / "empty"
    found["an empty folder"].mkdir()
    found["a bundle of mypt"] = folder / "bundle"
    _write_bundle(found["a bundle of mypt"])
    found["a folder with many files"] = folder
    return found


def list_traps(place: Path) -> dict[str, bytes]:
    """Return files that make a folder at `place` when they are unpickled, by their form."""
    trap = Trap(str(place))
    saved, array, arrays = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"model": trap}, saved)
    held = np.array([trap], dtype=object)
    np.save(array, held, allow_pickle=True)
    np.savez(arrays, model=held)
    return {
        "a pickle": pickle.dumps({"model": trap}),
        "a .pt file": saved.getvalue(),
        "a .npy file": array.getvalue(),
        "a .npz file": arrays.getvalue(),
    }


def list_files(sample: Path) -> list[Path]:
    """Return the files of a checkpoint, which is a file or a folder; the largest first."""
    if is_regular_file(sample):
        return [sample]
    found = [path for path in sample.rglob("*") if is_regular_file(path)]
    return sorted(found, key=lambda path: (-path.stat().st_size, path))


@contextmanager
def replaced(sample: Path, file: Path, data: bytes, work: Path) -> Iterator[Path]:
    """Copy a checkpoint with one file replaced, and remove the copy afterwards.

    Args:
        sample: The checkpoint, a file or a folder.
        file: The file of it.
        data: What is in its place.
        work: Folder for the copy; it must not exist.
    """
    work.mkdir()
    copy = work / sample.name
    try:
        if is_folder(sample):
            shutil.copytree(sample, copy, copy_function=shutil.copyfile)
            (copy / file.relative_to(sample)).write_bytes(data)
        else:
            copy.write_bytes(data)
        yield copy
    finally:
        shutil.rmtree(work)


def _make_archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _write_bundle(folder: Path) -> None:
    shapes = expected_tensors(_TINY, BUILT_IN)
    weights = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with open_for_writing(folder) as writer:
        save_bundle(
            writer,
            config=_TINY,
            tokenizer=None,
            training_state=None,
            weights=weights,
            optimizer=None,
            written_by="mypt.testing",
        )
