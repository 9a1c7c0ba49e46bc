import torch

from mypt.engine.inference.padded_batches import (
    TOGETHER,
    batch_by_length,
    compute_padded,
    take_chunks,
)


def test_chunks_hold_several_batches_and_all_items_in_order():
    chunks = [*take_chunks(range(2 * TOGETHER + 1), 1)]
    assert [len(chunk) for chunk in chunks] == [TOGETHER, TOGETHER, 1]
    assert [one for chunk in chunks for one in chunk] == [*range(2 * TOGETHER + 1)]


def test_a_batch_has_rows_of_about_one_length():
    batches = [*batch_by_length(["a", "bbbb", "cc", "ddd", "e"], len, 2)]
    assert batches == [["bbbb", "ddd"], ["cc", "a"], ["e"]]


def test_a_padded_row_is_what_it_is_alone(model):
    rows = [[1, 2, 3, 4, 5], [7], [3, 1, 2]]
    with torch.inference_mode():
        for states, row in zip(compute_padded(model, rows), rows, strict=True):
            torch.testing.assert_close(states, model.hidden(torch.tensor([row]))[0])
