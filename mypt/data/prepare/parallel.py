"""Tokenize pieces of text, optionally in several processes."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING

from attrs import evolve

from mypt.data.dataset import read_tokenizer_state
from mypt.format.errors import DataError, Problem
from mypt.plugins.manager import load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mypt.data.prepare.pieces import Piece
    from mypt.plugins.contracts import Tokenizer

_PLACE = re.compile(r"^line (\d+)(, column \d+)?")
_PIECES_AHEAD = 3  # pieces in progress or queued, per process


def encode_pieces(
    pieces: Iterable[Piece],
    tokenizer: Tokenizer,
    folder: Path,
    workers: int = 1,
    disabled: Iterable[str] = (),
) -> Iterator[tuple[Piece, NDArray[np.uint32]]]:
    """Yield each piece with its ids, in order, holding only a few pieces in memory.

    Args:
        pieces: The pieces to encode.
        tokenizer: The tokenizer to use.
        folder: Data set whose `tokenizer_state.json` other processes build the same tokenizer from.
        workers: Number of processes; with 1, no other process is started.
        disabled: Plugins that the workers do not load.

    Raises:
        DataError: A piece contains something that the vocabulary lacks, or a worker died.
    """
    if workers == 1:
        for piece in pieces:
            with _locate_errors(piece):
                ids = tokenizer.encode_array(piece.text)
            yield piece, ids
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_init_worker)
    how = str(folder), tuple(disabled)
    waiting: deque[tuple[Piece, Future[NDArray[np.uint32]]]] = deque()
    try:
        for piece in pieces:
            waiting.append((piece, pool.submit(_encode_in_worker, *how, piece.text)))
            if len(waiting) > workers * _PIECES_AHEAD:
                yield _pop_first(waiting)
        while waiting:
            yield _pop_first(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def available_workers() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pop_first(
    waiting: deque[tuple[Piece, Future[NDArray[np.uint32]]]],
) -> tuple[Piece, NDArray[np.uint32]]:
    piece, future = waiting.popleft()
    with _locate_errors(piece):
        return piece, future.result()


@contextmanager
def _locate_errors(piece: Piece) -> Iterator[None]:
    """Add the file and its line to a tokenizer's errors about a piece of it."""
    try:
        yield
    except DataError as error:
        before = piece.lines_before()
        problems = [
            evolve(problem, file=str(piece.path), where=_shift_line(problem.where, before))
            for problem in error.problems
        ]
        raise DataError(*problems) from error
    except BrokenProcessPool as error:
        what = "a worker process was killed, perhaps because memory ran out"
        fix = "run the same command again with fewer workers"
        raise DataError(Problem("", "", what, fix, kind="data.worker")) from error


def _shift_line(where: str, lines_before: int) -> str:
    """Count lines from the start of the file; a piece may begin in the middle of one."""

    def add_lines(found: re.Match[str]) -> str:
        is_whole = found[1] != "1" or not lines_before
        return f"line {int(found[1]) + lines_before}{found[2] or '' if is_whole else ''}"

    return _PLACE.sub(add_lines, where)


def _encode_in_worker(folder: str, disabled: tuple[str, ...], text: str) -> NDArray[np.uint32]:
    return _load_tokenizer(folder, disabled).encode_array(text)


@cache
def _load_tokenizer(folder: str, disabled: tuple[str, ...]) -> Tokenizer:
    state = read_tokenizer_state(folder)
    return load_plugins(disabled).tokenizer(state["token_kind"]).build(state)


def _init_worker() -> None:
    """Leave Ctrl-C to the parent process, and exit when it does, for whatever reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
