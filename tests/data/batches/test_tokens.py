import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mypt.data.batches import tokens
from mypt.data.batches.tokens import TokenSource, sha256_of


def numbered(*lengths, dtype=np.uint32):
    """Shards whose ids count on from one to the next."""
    ids = np.arange(sum(lengths), dtype=dtype)
    return TokenSource(np.split(ids, np.cumsum(lengths)[:-1]))


def test_windows_of_one_shard():
    source = numbered(10)
    assert len(source) == 10
    assert [source.windows(size) for size in (1, 4, 9, 10, 11)] == [9, 6, 1, 0, 0]


def test_a_window_is_a_stretch_and_its_targets_come_one_later():
    x, y, _, _ = numbered(10).take(np.array([0, 5, 2]), 4)
    assert x.tolist() == [[0, 1, 2, 3], [5, 6, 7, 8], [2, 3, 4, 5]]
    assert y.tolist() == [[1, 2, 3, 4], [6, 7, 8, 9], [3, 4, 5, 6]]
    assert x.dtype == y.dtype == torch.int64
    assert x.is_contiguous()
    assert y.is_contiguous()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, "<u4"])
@settings(max_examples=50)
@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=6), block_size=st.integers(1, 6))
def test_the_windows_are_all_stretches_within_a_shard(dtype, lengths, block_size):
    source = numbered(*lengths, dtype=dtype)
    expected = [
        list(range(start, start + block_size + 1))
        for begin, length in zip(np.cumsum([0, *lengths]), lengths, strict=False)
        for start in range(begin, begin + length - block_size)
    ]
    assert source.windows(block_size) == len(expected)
    if expected:
        order = np.random.default_rng(0).permutation(len(expected))
        x, y, _, _ = source.take(order, block_size)
        assert x.tolist() == [expected[i][:-1] for i in order]
        assert y.tolist() == [expected[i][1:] for i in order]


def test_ids_of_the_whole_range_survive():
    for dtype in (np.uint16, np.uint32):
        top = int(np.iinfo(dtype).max)
        ids = np.array([top, 0, top], dtype)
        for source in (TokenSource([ids]), TokenSource([ids, ids])):
            assert source.take(np.array([0]), 2)[0].tolist() == [[top, 0]]
            assert source.highest_id() == top


def test_what_is_taken_is_a_copy():
    ids = np.zeros(4, np.uint32)
    x, _, _, _ = TokenSource([ids]).take(np.array([0]), 2)
    x += 1
    assert not ids.any()


def test_the_highest_id_is_found_in_any_chunk(monkeypatch):
    monkeypatch.setattr(tokens, "_CHUNK", 3)
    assert numbered(4, 0, 9).highest_id() == 12
    assert [len(chunk) for chunk in numbered(4, 0, 2).chunks()] == [3, 1, 2]
    assert TokenSource([np.empty(0, np.uint32)]).highest_id() == -1


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, ">u4"])
def test_the_digest_is_that_of_little_endian_uint32(monkeypatch, dtype):
    monkeypatch.setattr(tokens, "_CHUNK", 4)
    expected = hashlib.sha256(np.arange(15, dtype="<u4").tobytes()).hexdigest()
    whole, later = numbered(4, 6, dtype=dtype), np.arange(10, 15, dtype=dtype)
    assert sha256_of([whole, TokenSource([later])]) == expected


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5), block_size=st.integers(1, 6))
def test_the_blocks_are_the_windows_at_multiples_within_a_shard(lengths, block_size):
    source = numbered(*lengths)
    expected = [
        begin + start
        for begin, length in zip(np.cumsum([0, *lengths]), lengths, strict=False)
        for start in range(0, length - block_size, block_size)
    ]
    assert source.blocks(block_size) == len(expected)
    if expected:
        windows = source.block_windows(np.arange(len(expected)), block_size)
        x, _, mask, _ = source.take(windows, block_size)
        assert x[:, 0].tolist() == expected
        assert mask is None
