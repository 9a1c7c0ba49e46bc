"""Matrices lie in huge pages, where the operating system has them."""

import re
from pathlib import Path

import pytest
import torch

from mypt.model.decoding import huge_pages
from mypt.model.decoding.huge_pages import HugePages, has_huge_pages

MB = 2**20
needs_them = pytest.mark.skipif(not has_huge_pages(), reason="there are no huge pages here")


def mapping_of(tensor):
    """Return what Linux says of the memory of a tensor, by name."""
    found = {}
    for line in Path("/proc/self/smaps").read_text("ascii", "replace").splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            first, end = (int(bound, 16) for bound in bounds.groups())
            is_it = first <= tensor.data_ptr() < end
        elif is_it:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    return found


@needs_them
def test_a_matrix_lies_in_memory_for_which_huge_pages_were_asked():
    matrix = HugePages(4 * MB).empty(1024, 1024, dtype=torch.float32)
    assert matrix.data_ptr() % (2 * MB) == 0
    assert "hg" in mapping_of(matrix)["VmFlags"].split()


@needs_them
def test_matrices_of_all_dtypes_stand_beside_one_another():
    wanted = [torch.randn(7, 5), torch.randn(3, 9), torch.randn(1, 11).bfloat16(), torch.ones(2, 1)]
    pages = HugePages(1024)
    made = [pages.empty(*matrix.shape, dtype=matrix.dtype) for matrix in wanted]
    for matrix, values in zip(made, wanted, strict=True):
        matrix.copy_(values)
    for matrix, values in zip(made, wanted, strict=True):
        assert torch.equal(matrix, values)
        assert matrix.is_contiguous()
        assert matrix.data_ptr() % 64 == 0


@needs_them
def test_what_does_not_fit_is_allocated_by_torch():
    pages = HugePages(4 * MB)
    first, second = (pages.empty(1024, 1024, dtype=torch.float32) for _ in range(2))
    assert second.shape == (1024, 1024)
    assert abs(second.data_ptr() - first.data_ptr()) >= 4 * MB
    assert second.untyped_storage().data_ptr() == second.data_ptr()  # it has memory of its own
    assert first.untyped_storage().data_ptr() != second.untyped_storage().data_ptr()


@pytest.mark.parametrize(
    ("setting", "has"),
    [
        ("always [madvise] never", True),
        ("[always] madvise never", True),
        ("always madvise [never]", False),
        (None, False),
    ],
)
def test_the_system_says_whether_it_has_them(setting, has, tmp_path, monkeypatch):
    file = tmp_path / "enabled"
    if setting is not None:
        file.write_text(setting, "ascii")
    monkeypatch.setattr(huge_pages, "_SETTING", file)
    monkeypatch.setattr(huge_pages.mmap, "MADV_HUGEPAGE", 14, raising=False)
    assert has_huge_pages() == has
    monkeypatch.delattr(huge_pages.mmap, "MADV_HUGEPAGE")
    assert not has_huge_pages()
