import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.migrations.fuse_heads import find_fused_sources, fuse_heads

ROLES = ("key", "query", "value")  # the order of version 1


def make_heads(count, width=2, layer=0):
    """Return the matrices of a layer, each filled with a number that says which one it is."""
    return {
        f"blocks.{layer}.sa.heads.{head}.{role}.weight": torch.full(
            (width, 4), 10.0 * ["query", "key", "value"].index(role) + head
        )
        for head in range(count)
        for role in ROLES
    }


def test_rows_are_those_of_all_queries_then_keys_then_values():
    tensors = {"a": torch.zeros(1), **make_heads(12), "z": torch.ones(1)}
    fused = fuse_heads(tensors, find_fused_sources(tensors))
    assert list(fused) == ["a", "blocks.0.sa.qkv.weight", "z"]
    # Head 10 follows head 9 and not head 1, as it would among strings.
    wanted = [10.0 * role + head for role in range(3) for head in range(12) for _ in range(2)]
    assert fused["blocks.0.sa.qkv.weight"][:, 0].tolist() == wanted


def test_a_head_that_lacks_a_matrix_is_named():
    tensors = make_heads(2)
    del tensors["blocks.0.sa.heads.1.value.weight"]
    with pytest.raises(FormatError, match=r"heads\.1\.value\.weight: is missing"):
        find_fused_sources(tensors)


def test_heads_of_different_shapes_are_refused():
    tensors = make_heads(2) | {"blocks.0.sa.heads.1.key.weight": torch.zeros(3, 4)}
    with pytest.raises(FormatError, match=r"heads\.1\.key\.weight: is \(3, 4\)"):
        fuse_heads(tensors, find_fused_sources(tensors))


def test_a_number_that_no_head_has_is_of_no_head():
    name = f"blocks.0.sa.heads.{'1' * 6000}.query.weight"
    assert find_fused_sources([name]) == {name: (name,)}
