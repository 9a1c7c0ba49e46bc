"""Files of tokens as other programs write them."""

import numpy as np
import pytest

from mypt.format.errors import DataError

LLM_C = {"<u2": (20240520, 1), "<u4": (20240801, 7)}


def write_llm_c(path, ids, dtype="<u2", **changed):
    """Write a file as llm.c's `write_datafile` does."""
    header = np.zeros(256, "<i4")
    header[0], header[1] = LLM_C[dtype]
    header[2] = len(ids)
    for place, value in changed.items():
        header[int(place[1:])] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.tobytes() + np.asarray(ids).astype(dtype).tobytes())
    return path


def refusal(call, *args, **options):
    """Give the one problem that a call is refused for, which is one line."""
    with pytest.raises(DataError) as caught:
        call(*args, **options)
    [problem] = caught.value.problems
    assert "\n" not in str(problem)
    return problem
