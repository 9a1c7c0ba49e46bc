import numpy as np

from mypt.data.batches.episodes import EpisodeSource
from mypt.data.dataset import EpisodeArrays
from mypt.data.inspection.conversations import describe_conversations


def source(lengths, mask):
    ends = np.cumsum(lengths)
    spans = np.stack([ends - lengths, lengths], axis=1)
    tokens = np.zeros(int(ends[-1]), np.uint32)
    return EpisodeSource([EpisodeArrays(tokens, spans, mask)])


def test_lengths_and_learnt_tokens_are_those_of_all_splits():
    lengths = np.arange(1, 101)
    whole = source(lengths, None)
    mask = np.zeros(30, np.float32)
    mask[5:8] = 0.5
    about = describe_conversations([whole, source(np.array([10, 20]), mask)], block_size=89)
    assert about == {
        "conversations": 102,
        "tokens": 5080,
        "learnt_tokens": 5053,
        "lengths": {"50": 50, "90": 90, "99": 99, "100": 100},
        "block_size": 89,
        "longer": 10,
    }
    assert "longer" not in describe_conversations([whole])
