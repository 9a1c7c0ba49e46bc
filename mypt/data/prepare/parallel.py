"""Tokenize pieces of text, optionally in several processes."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from itertools import accumulate
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from attrs import evolve

from mypt.data.dataset import read_tokenizer_state
from mypt.data.document_ends import DocumentEncoder
from mypt.format.errors import DataError, Problem
from mypt.plugins.manager import load_plugins
from mypt.tokenizers.added_tokens import build_from_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from mypt.data.prepare.pieces import Piece

_GROUP_BYTES = 1 << 19  # of the text of small pieces that are encoded together
_GROUPS_AHEAD = 3  # groups in progress or queued, per process


class _Encoded(NamedTuple):
    """The ids of a group of pieces, up to the first that cannot be encoded.

    Attributes:
        ids: Those of all pieces, one after another.
        ends: The number of ids up to the end of each piece.
        error: Why the next piece cannot be encoded; None if all are.
    """

    ids: NDArray[np.uint32]
    ends: list[int]
    error: DataError | None


def encode_pieces(
    pieces: Iterable[Piece],
    encoder: DocumentEncoder,
    folder: Path,
    workers: int = 1,
    disabled: Iterable[str] = (),
) -> Iterator[tuple[Piece, NDArray[np.uint32]]]:
    """Yield each piece with its ids, in order, holding only a few pieces in memory.

    The id that stands between documents is the last of a piece that another document follows.

    Args:
        pieces: The pieces to encode.
        encoder: That of the tokenizer to use.
        folder: Data set whose `tokenizer_state.json` other processes build the same tokenizer from.
        workers: Number of processes; with 1, no other process is started.
        disabled: Plugins that the workers do not load.

    Raises:
        DataError: A piece contains something that the vocabulary lacks, or a worker died.
    """
    encode = _encode_here if workers == 1 else partial(_encode_elsewhere, workers=workers)
    end = np.array([] if encoder.end_id is None else [encoder.end_id], np.uint32)
    for piece, ids in encode(pieces, encoder, folder, disabled):
        yield piece, np.concatenate([ids, end]) if piece.ends_document else ids


def _encode_here(
    pieces: Iterable[Piece], encoder: DocumentEncoder, *_: object
) -> Iterator[tuple[Piece, NDArray[np.uint32]]]:
    for piece in pieces:
        with _locate_errors(piece):
            ids = encoder.encode(piece.text)
        yield piece, ids


def _encode_elsewhere(
    pieces: Iterable[Piece],
    _: DocumentEncoder,
    folder: Path,
    disabled: Iterable[str],
    workers: int,
) -> Iterator[tuple[Piece, NDArray[np.uint32]]]:
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_init_worker)
    how = str(folder), tuple(disabled)
    waiting: deque[tuple[list[Piece], Future[_Encoded]]] = deque()
    try:
        for group in _group_pieces(pieces):
            texts = [piece.text for piece in group]
            waiting.append((group, pool.submit(_encode_in_worker, *how, texts)))
            if len(waiting) > workers * _GROUPS_AHEAD:
                yield from _pop_first(waiting)
        while waiting:
            yield from _pop_first(waiting)
    except BrokenProcessPool as error:  # of the next task as well as of one that is done
        what = "a worker process was killed, perhaps because memory ran out"
        fix = "run the same command again with fewer workers"
        raise DataError(Problem("", "", what, fix, kind="data.worker")) from error
    finally:
        pool.shutdown(cancel_futures=True)


def available_workers() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _group_pieces(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield consecutive pieces to encode together; small ones take less time than a task does."""
    group: list[Piece] = []
    size_bytes = 0
    for piece in pieces:
        group.append(piece)
        size_bytes += len(piece.text)
        if size_bytes >= _GROUP_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _pop_first(
    waiting: deque[tuple[list[Piece], Future[_Encoded]]],
) -> Iterator[tuple[Piece, NDArray[np.uint32]]]:
    group, future = waiting.popleft()
    encoded = future.result()
    start = 0
    for piece, end in zip(group, encoded.ends, strict=False):
        yield piece, encoded.ids[start:end]
        start = end
    if encoded.error is not None:
        with _locate_errors(group[len(encoded.ends)]):
            raise encoded.error


@contextmanager
def _locate_errors(piece: Piece) -> Iterator[None]:
    """Add the file and its line to a tokenizer's errors about a piece of it."""
    try:
        yield
    except DataError as error:
        problems = [
            evolve(problem, file=str(piece.file.path), where=piece.locate(problem.where))
            for problem in error.problems
        ]
        raise DataError(*problems) from error


def _encode_in_worker(folder: str, disabled: tuple[str, ...], texts: list[str]) -> _Encoded:
    encoder = _load_encoder(folder, disabled)
    parts: list[NDArray[np.uint32]] = []
    failure = None
    for text in texts:
        try:
            parts.append(encoder.encode(text))
        except DataError as error:
            failure = error
            break
    ids = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.uint32), *parts])
    return _Encoded(ids, [*accumulate(map(len, parts))], failure)


@cache
def _load_encoder(folder: str, disabled: tuple[str, ...]) -> DocumentEncoder:
    state = read_tokenizer_state(folder)
    tokenizer = build_from_state(state, load_plugins(disabled))
    return DocumentEncoder.of(tokenizer)


def _init_worker() -> None:
    """Leave Ctrl-C to the parent process, and exit when it does, for whatever reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
