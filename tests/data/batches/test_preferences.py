import numpy as np
import pytest
import torch

from mypt.data.batches.batch import PairBatch
from mypt.data.batches.episodes import EpisodeSource
from mypt.data.batches.preferences import PreferenceSource, check_pairs, pair_answers
from mypt.data.dataset import EpisodeArrays
from mypt.format.errors import DataError

REFERENCE = np.array([-1.0, -4.0, -2.0, -2.5], np.float32)


def answers(*, reference=REFERENCE, mask=(0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1)):
    spans = np.array([[0, 3], [3, 3], [6, 3], [9, 3]], np.int64)
    tokens = np.arange(1, 13, dtype=np.uint32)
    return EpisodeSource([EpisodeArrays(tokens, spans, np.array(mask, np.uint8), reference)])


def test_a_pair_is_two_rows_the_chosen_one_first():
    source = PreferenceSource(answers())
    assert (source.windows(4), source.blocks(4), len(source)) == (2, 2, 12)
    batch = source.take(np.array([1, 0]), 4)
    assert isinstance(batch, PairBatch)
    assert batch.x[:, 0].tolist() == [7, 10, 1, 4]
    assert batch.mask.tolist() == [[1, 1, 0, 0]] * 4
    assert torch.equal(batch.reference, torch.tensor([0.5, 3.0]))
    assert batch.count_targets() == 2


def test_the_reference_is_part_of_what_is_learnt_from():
    def content(source):
        return b"".join(part.tobytes() for part in source.content())

    same, other = PreferenceSource(answers()), PreferenceSource(answers(reference=REFERENCE * 2))
    assert content(same) == content(PreferenceSource(answers()))
    assert content(same) != content(other)


def test_episodes_without_a_reference_are_no_pairs():
    assert isinstance(pair_answers(answers()), PreferenceSource)
    alone = answers(reference=None)
    assert pair_answers(alone) is alone


@pytest.mark.parametrize(
    ("source", "block_size", "said"),
    [
        (answers(reference=REFERENCE[:2]), 4, "has 4 answers and 2 of the reference"),
        (answers(), 1, "has an answer of 3 tokens, which block_size 1 cuts"),
        (answers(mask=[0] * 3 + [1] * 9), 4, "has an answer in which nothing is learnt"),
    ],
)
def test_pairs_that_are_not_whole_are_refused(source, block_size, said):
    with pytest.raises(DataError, match=said):
        check_pairs(PreferenceSource(source), block_size, "prefs")
