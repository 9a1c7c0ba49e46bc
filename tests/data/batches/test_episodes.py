import numpy as np
import pytest

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.dataset import has_episodes, read_episodes
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import DataError
from mypt.plugins.manager import load_plugins

CONFIG = GPTConfig(batch_size=3, block_size=4, vocab_size=50304)


@pytest.fixture(scope="module")
def gpt2():
    return load_plugins().tokenizer("gpt2")


def write(folder, episodes, mask=None, weights=None):
    """Write episodes as MyPT did."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = [len(episode) for episode in episodes]
    starts = np.cumsum([0, *lengths])[:-1]
    np.array([i for e in episodes for i in e], "<u4").tofile(folder / "tokens.bin")
    np.array(list(zip(starts, lengths, strict=True)), "<u8").tofile(folder / "episodes.idx")
    if mask is not None:
        np.array(mask, "u1").tofile(folder / "mask.bin")
    if weights is not None:
        np.array(weights, "<f4").tofile(folder / "mask_weighted.bin")


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10]], [0, 1, 1, *[0] * 5, 1, 1])
    return tmp_path


def loaded(folder, tokenizer, **options):
    return GPTDataLoader(CONFIG, tokenizer, dataset_dir=folder, **options)


def rows(loader, numbers):
    x, y, mask, _ = loader.splits["train"].take(np.array(numbers), 4)
    return [part.tolist() for part in (x, y, mask)]


def test_short_episodes_are_padded_and_long_ones_keep_their_end(folder, gpt2):
    x, y, mask = rows(loaded(folder, gpt2.train("")), [0, 1])
    assert x == [[1, 2, 3, 0], [6, 7, 8, 9]]
    assert y == [[2, 3, 0, 0], [7, 8, 9, 10]]
    assert mask == [[1, 1, 0, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("special", "pad"),
    [
        ({"<myPT_pad>": 50300, "<myPT_eot>": 50301}, 50300),
        ({"<myPT_eot>": 50301}, 50301),
        ({"<|endoftext|>": 50256}, 50256),
    ],
)
def test_padding_is_a_token_for_it_or_the_end_of_a_text(folder, gpt2, special, pad):
    tokenizer = gpt2.build({"special_token_encoder": special})
    assert rows(loaded(folder, tokenizer), [0])[1] == [[2, 3, pad, pad]]


def test_weights_are_taken_before_a_mask_and_without_either_padding_alone_is_left_out(folder, gpt2):
    write(folder / "train", [[1, 2, 3]], [1, 1, 1], [0.25, 0.5, 0.75])
    assert rows(loaded(folder, gpt2.train("")), [0])[2] == [[0.5, 0.75, 0, 0]]
    for name in ("mask.bin", "mask_weighted.bin"):
        (folder / "train" / name).unlink()
    assert rows(loaded(folder, gpt2.train("")), [0])[2] == [[1, 1, 0, 0]]


def test_an_episode_that_shows_no_target_has_no_row(folder, gpt2):
    episodes = [[1, 2], [3, 4, 5, 6, 7, 8], [9, 10], [11], [12, 13, 14, 15, 16, 17]]
    mask = [0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0.5, 0, 0, 0]
    write(folder / "train", episodes, weights=mask)  # of the second its last four tokens are masked
    source = loaded(folder, gpt2.train("")).splits["train"]
    assert source.reaches.tolist() == [1, 5, 0, 0, 4]
    assert [source.windows(n) for n in (1, 3, 4, 5)] == [1, 1, 2, 3]
    assert source.take(np.array([0, 1]), 4).x.tolist() == [[1, 2, 0, 0], [13, 14, 15, 16]]
    assert source.take(np.array([1, 2]), 5).x[:, 0].tolist() == [3, 12]
    assert source.explain_left_out(4) == (
        "holds 3 episodes of 5 without a target in the last 4 tokens (block_size)"
    )
    assert source.explain_left_out(None) == "holds 2 episodes of 5 without a target"


def test_without_a_mask_all_but_the_first_token_is_a_target(folder, gpt2):
    write(folder / "train", [[1], [2, 3, 4], []])
    for name in ("mask.bin", "mask_weighted.bin"):
        (folder / "train" / name).unlink(missing_ok=True)
    assert loaded(folder, gpt2.train("")).splits["train"].reaches.tolist() == [0, 1, 0]


def test_sub_folders_come_after_the_split_s_own_episodes(folder, gpt2):
    write(folder / "train" / "shard_00002", [[30, 31]], [1, 1])
    write(folder / "train" / "shard_00001", [[20, 21], [22, 23]], [1, 1, 1, 1])
    loader = loaded(folder, gpt2.train(""))
    assert rows(loader, [4, 2, 0, 3, 1])[0] == [
        [30, 31, 0, 0],
        [20, 21, 0, 0],
        [1, 2, 3, 0],
        [22, 23, 0, 0],
        [6, 7, 8, 9],
    ]
    assert len(loader.splits["train"]) == 16
    assert loader.train_tokens == 3 + 5 + 2 + 2 + 2  # of the one of seven, a row holds five
    assert loader.splits["train"].windows(4) == 5


def test_episodes_in_sub_folders_alone_are_found(tmp_path, gpt2):
    for split in ("train", "val"):
        write(tmp_path / split / "shard_00000", [[1, 2]], [1, 1])
    assert has_episodes(tmp_path)
    assert loaded(tmp_path, gpt2.train("")).train_tokens == 2


def test_an_epoch_takes_each_episode_once(tmp_path, gpt2):
    for split in ("train", "val"):
        write(tmp_path / split, [[n, n + 1] for n in range(30)], [1] * 60)
    loader = loaded(tmp_path, gpt2.train(""), sampling="epoch")
    first = [int(n) for step in range(10) for n in loader.train_batch(1, step, 0).x[:, 0]]
    second = [int(n) for step in range(10, 20) for n in loader.train_batch(1, step, 0).x[:, 0]]
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second


def test_an_evaluation_set_needs_no_training_split(folder, gpt2):
    loader = loaded(folder / "val", gpt2.train(""), eval_only=True)
    assert loader.eval_batch("val", 0, 0).mask.shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("episodes.idx", np.array([0, 3, 3, 8], "<u8"), "has an episode beyond the 10 tokens"),
        ("episodes.idx", np.array([2**64 - 1, 2], "<u8"), "has an episode beyond"),
        ("episodes.idx", np.array([0, 3, 3], "<u8"), "does not hold pairs"),
        ("episodes.idx", np.zeros(3, "u1"), "not a whole number of numbers"),
        ("mask.bin", np.zeros(9, "u1"), "has 9 weights for 10 tokens"),
        ("tokens.bin", np.zeros(9, "u1"), "not a whole number of 4-byte ids"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(folder, name, data, what):
    data.tofile(folder / "train" / name)
    with pytest.raises(DataError, match=what) as caught:
        read_episodes(folder)
    assert name in caught.value.problems[0].file


def test_a_split_without_episodes_is_refused(folder, gpt2):
    (folder / "val" / "episodes.idx").unlink()
    with pytest.raises(DataError, match="val: holds no episodes"):
        read_episodes(folder)
    np.zeros((0, 2), "<u8").tofile(folder / "val" / "episodes.idx")
    with pytest.raises(DataError, match="there are 7 for train, 0 for val"):
        loaded(folder, gpt2.train(""))
