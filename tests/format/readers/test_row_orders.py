import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.readers.row_orders import (
    join_groups,
    split_pairs,
)
from mypt.format.readers.shared.tensor_source import TensorSource, split_tensors, take_tensor

# 4 heads of 2 values; two heads share keys.
SHARED = GPTConfig(n_embd=8, n_head=4, n_kv_head=2, pos_encoding="rope")


def take(order):
    """Return the numbers of the rows that an order takes, and check the way back."""
    source, rows = TensorSource(("x",), rows=order), torch.arange(float(order.total))
    taken = take_tensor(source, {"x": rows})
    assert torch.equal(split_tensors({"ours": source}, {"ours": taken})["x"], rows)
    return taken.tolist()


def test_groups_are_joined_to_queries_keys_and_values():
    # rows of the first group: 0 ... 3 of its two queries, 4 and 5 of the key, 6 and 7 of the value
    queries = [0, 1, 2, 3, 8, 9, 10, 11]
    assert take(join_groups(SHARED)) == [*queries, 4, 5, 12, 13, 6, 7, 14, 15]


def test_one_group_and_single_heads_are_as_well():
    one, single = GPTConfig(n_embd=4, n_head=2, n_kv_head=1), GPTConfig(n_embd=4, n_head=2)
    assert take(join_groups(one)) == list(range(8))
    assert take(join_groups(single)) == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]


def test_pairs_of_neighbours_are_split_in_queries_and_keys():
    config = GPTConfig(n_embd=6, n_head=1, rope_size=4, pos_encoding="rope")
    queries = [0, 2, 1, 3, 4, 5]
    assert take(split_pairs(config)) == [*queries, *(6 + n for n in queries), *range(12, 18)]
