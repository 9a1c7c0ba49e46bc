import json

import numpy as np
import pytest
import torch

from mypt.data.batches.loader import GPTDataLoader
from mypt.data.batches.packing import pack
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import ConfigError
from mypt.model.transformer import Transformer
from tests.data.batches.test_episodes import write

CONFIG = GPTConfig(
    batch_size=3, block_size=8, vocab_size=50304, n_layer=1, n_head=2, n_embd=16, dropout=0.0
)
EPISODES = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [10, 11], [*range(20, 31)], [12, 13, 14, 15], [16]]
MASK = [0, 1, 1, *[0, 1, 0, 0, 1, 0], 0, 1, *[0] * 9, 1, 1, *[0, 0, 1, 1], 1]


@pytest.fixture
def gpt2(plugins):
    return plugins.tokenizer("gpt2").train("")


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, EPISODES, weights=[weight / 2 for weight in MASK])
    return tmp_path


@pytest.fixture
def loader(folder, gpt2):
    return GPTDataLoader(CONFIG, gpt2, dataset_dir=folder, packing=True)


def test_each_item_is_in_one_row_that_is_not_overfull():
    sizes = np.random.default_rng(1).integers(1, 101, 2000)
    rows = pack(sizes, 100)
    assert sorted(rows.episodes.tolist()) == list(range(2000))
    filled = [sizes[rows[row]].sum() for row in range(len(rows))]
    assert max(filled) <= 100
    assert sum(filled) == rows.places == sizes.sum()
    assert len(rows) <= 1.02 * sizes.sum() / 100


def test_a_row_holds_whole_conversations_of_which_none_predicts_another(loader):
    source = loader.splits["train"]
    x, y, mask, segments = source.take(np.arange(source.windows(8)), 8)
    found = []
    for row in range(len(x)):
        for segment in range(int(segments[row].max()) + 1):
            here = segments[row] == segment
            if mask[row][here].sum() > 0:
                found.append((x[row][here].tolist(), y[row][here].tolist()))
    expected = [(ids[-9:-1], ids[1:][-8:]) for ids in EPISODES if len(ids) > 1]
    assert sorted(found) == sorted(expected)  # the end of the long one; that of one token has none
    assert mask.sum() == sum(MASK[:-1]) / 2


def test_the_loss_of_a_row_is_that_of_its_conversations_alone(loader, plugins):
    for pos_encoding in ("learned", "rope"):
        config = GPTConfig(**{**vars_of(CONFIG), "pos_encoding": pos_encoding})
        model = Transformer(config, plugins)
        torch.manual_seed(3)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        source = loader.splits["train"]
        batch = source.take(np.arange(source.windows(8)), 8)
        x, y, mask, segments = batch
        packed = model.loss(x, y, mask, segments=segments)
        alone, weight = 0.0, 0.0
        for number in range(source.source.windows(8)):
            x, y, mask, _ = source.source.take(np.array([number]), 8)
            alone += model.loss(x, y, mask) * mask.sum()
            weight += mask.sum()
        assert packed.item() == pytest.approx((alone / weight).item(), abs=1e-5)
        assert batch.count_targets() == weight
        wanted = torch.autograd.grad(alone / weight, [*model.parameters()])
        found = torch.autograd.grad(packed, [*model.parameters()])
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def vars_of(config):
    names = ("batch_size", "block_size", "vocab_size", "n_layer", "n_head", "n_embd", "dropout")
    return {name: getattr(config, name) for name in names}


def test_an_epoch_has_each_conversation_once_in_an_order_of_its_own(folder, gpt2):
    loader = GPTDataLoader(CONFIG, gpt2, dataset_dir=folder, packing=True, sampling="epoch")
    rows = loader.windows_per_epoch
    assert rows == 3  # 8 | 5 + 3 | 2 + 1 places
    assert loader.train_tokens == 3 + 6 + 2 + 9 + 4
    drawn = [loader.train_batch(7, step, 0) for step in range(3)]
    assert all(sorted(b.x[:, 0].tolist()) == sorted(drawn[0].x[:, 0].tolist()) for b in drawn)
    again = loader.train_batch(7, 2, 0)
    assert all(torch.equal(one, other) for one, other in zip(drawn[2], again, strict=True))


def test_it_is_said_how_full_rows_are_and_of_what_only_the_end_is_learnt(loader, folder):
    assert loader.packed[0] == (
        f"{folder} train packs 5 episodes into 3 rows, 1.7 in each, whose tokens take "
        "79 % of its 8 places"
    )
    assert loader.left_out[1] == (
        f"{folder} train holds 1 episode of 6 longer than block_size + 1 = 9 tokens, of which only "
        "the end is learnt"
    )


def test_windows_of_a_text_stand_beside_packed_rows(loader, gpt2):
    text = GPTDataLoader(CONFIG, gpt2, text="The cat sat on the mat. " * 40)
    both = GPTDataLoader(CONFIG, gpt2, mixture=[(loader, 1), (text, 1)])
    assert both.packing
    batch = both.train_batch(1, 0, 0)
    assert batch.segments.shape == batch.mask.shape == batch.x.shape
    assert len(both.packed) == 2


def test_a_text_cannot_be_packed(gpt2):
    with pytest.raises(ConfigError, match=r"packing: puts several .* `mypt data chats`"):
        GPTDataLoader(CONFIG, gpt2, text="The cat sat on the mat. " * 40, packing=True)


def test_a_packed_run_goes_on_exactly_and_an_unpacked_one_is_said(
    in_tmp, train, stop_at, digests, logged
):
    from mypt.format.bundle.read import read_bundle

    generator = np.random.default_rng(5)
    for split in ("train", "val"):
        episodes = [generator.integers(0, 8, n).tolist() for n in generator.integers(2, 9, 40)]
        write(in_tmp / "chats" / split, episodes)
    state = {"token_kind": "char", "chars": list("abcdefgh")}
    (in_tmp / "chats" / "tokenizer_state.json").write_text(json.dumps(state))
    flags = {"dataset_dir": "chats", "sampling": "epoch", "max_iters": 8, "vocab_size": None}
    train("whole", packing=True, **flags)
    stop_at(5)
    train("parts", packing=True, **flags)
    stop_at(None)
    train("parts", **flags)
    assert digests("parts") == digests("whole")
    notices = [event["message"] for event in logged("whole", "notice")]
    assert any("packs 40 episodes into" in message for message in notices)
    train("parts", **{**flags, "max_iters": 10}, packing=False)
    reasons = read_bundle(in_tmp / "checkpoints/parts").training_state.inexact_reasons
    assert "step 8: packing changed from True to False" in reasons
