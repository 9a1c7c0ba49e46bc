import hashlib
import json
import string

import numpy as np
import pytest
import torch
from attrs import evolve

from mypt.data.batches.loader import GPTDataLoader
from mypt.format.documents.config import GPTConfig
from mypt.format.errors import ConfigError, DataError
from mypt.plugins.manager import load_plugins

CONFIG = GPTConfig(batch_size=4, block_size=8, vocab_size=50304)


@pytest.fixture(scope="module")
def factories():
    return load_plugins().tokenizers


@pytest.fixture(scope="module")
def tokenizer(factories, text):
    return factories["char"].train(text)


@pytest.fixture(scope="module")
def loader(tokenizer, text):
    return GPTDataLoader(CONFIG, tokenizer, text=text)


@pytest.fixture(scope="module")
def letters(factories):
    return factories["char"].build({"chars": list(string.ascii_letters)})


@pytest.fixture
def dataset(tmp_path, letters):
    """A data set whose ids count up; one of its shards is shorter than a window."""
    for name, start, stop in [
        ("train/a", 0, 20),
        ("train/b", 20, 25),
        ("train/c", 25, 35),
        ("val/d", 35, 44),
    ]:
        file = tmp_path / f"{name}.bin"
        file.parent.mkdir(exist_ok=True)
        np.arange(start, stop, dtype="<u4").tofile(file)
    (tmp_path / "tokenizer_state.json").write_text(json.dumps(letters.state()))
    return tmp_path


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one[:2], other[:2], strict=True))


def test_the_first_nine_tenths_of_a_text_are_trained_on(loader, tokenizer, text):
    ids = tokenizer.encode(text)
    end = len(ids) * 9 // 10
    assert loader.splits["train"].shards[0].tolist() == ids[:end]
    assert loader.splits["val"].shards[0].tolist() == ids[end:]
    assert (loader.train_tokens, loader.val_tokens) == (end, len(ids) - end)


def test_a_batch_holds_windows_of_the_text(loader, tokenizer, text):
    x, y, _, _ = loader.train_batch(1337, 0, 0)
    assert x.shape == y.shape == (4, 8)
    assert x.dtype == y.dtype == torch.int64
    assert torch.equal(x[:, 1:], y[:, :-1])
    train = text[: loader.train_tokens]
    for row, last in zip(x, y[:, -1], strict=True):
        assert tokenizer.decode([*row, last]) in train


def test_batches_are_a_function_of_seed_step_and_micro_step(loader, tokenizer, text):
    again = GPTDataLoader(CONFIG, tokenizer, text=text)
    for place in [(1, 5, 1), (1, 0, 0), (2, 7, 0)]:  # in any order
        assert same(loader.train_batch(*place), again.train_batch(*place))
    places = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)]
    batches = {tuple(loader.train_batch(*place)[0].flatten().tolist()) for place in places}
    assert len(batches) == len(places)


def test_a_golden_batch(tokenizer):
    config = evolve(CONFIG, batch_size=8, block_size=1)
    loader = GPTDataLoader(config, tokenizer, text="line" * 300)
    # 1080 tokens to train on, so 1079 windows; their starts modulo 4 are the letters
    starts = [int(u * 1079) for u in (0.5183563288539731, 0.7867645200068585, 0.962774487720172)]
    expected = tokenizer.encode("".join("line"[start % 4] for start in starts))
    assert loader.train_batch(1337, 0, 0)[0][:3, 0].tolist() == expected


def test_evaluation_batches_are_always_the_same_and_their_own(loader):
    for split in ("train", "val"):
        assert same(loader.eval_batch(split, 1, 3), loader.eval_batch(split, 1, 3))
        assert not same(loader.eval_batch(split, 1, 3), loader.eval_batch(split, 1, 4))
        assert not same(loader.eval_batch(split, 1, 3), loader.eval_batch(split, 2, 3))
    assert not same(loader.eval_batch("train", 1, 3), loader.train_batch(1, 3, 0))


def test_evaluation_stays_within_its_split(loader, tokenizer, text):
    val = text[loader.train_tokens :]
    for index in range(20):
        x, _, _, _ = loader.eval_batch("val", 0, index)
        assert all(tokenizer.decode(row) in val for row in x)


def test_drawing_leaves_global_generators_alone(loader):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    loader.train_batch(1, 2, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_every_window_of_every_long_shard_comes_up(dataset, letters):
    loader = GPTDataLoader(CONFIG, letters, dataset_dir=dataset)
    assert loader.splits["train"].windows(8) == 12 + 0 + 2
    starts = {int(start) for step in range(60) for start in loader.train_batch(0, step, 0)[0][:, 0]}
    assert starts == {*range(12), 25, 26}
    assert set(loader.eval_batch("val", 0, 0)[0][:, 0].tolist()) == {35}


def test_windows_are_drawn_evenly(dataset, letters):
    loader = GPTDataLoader(evolve(CONFIG, batch_size=1400), letters, dataset_dir=dataset)
    counts = np.bincount(loader.train_batch(0, 0, 0)[0][:, 0])
    assert counts[counts > 0].min() > 60  # 100 expected in each of 14
    assert counts.max() < 140


def test_a_data_set_and_a_text_of_the_same_ids_have_the_same_fingerprint(dataset, letters):
    loader = GPTDataLoader(CONFIG, letters, dataset_dir=dataset)
    ids = np.arange(44, dtype="<u4")
    data = loader.fingerprint
    assert data.sha256 == hashlib.sha256(ids.tobytes()).hexdigest()
    assert (data.train_tokens, data.val_tokens) == (30, 9)
    assert data.source == str(dataset)
    assert loader.fingerprint is data


def test_the_fingerprint_of_a_text_tells_texts_apart(loader, tokenizer, text):
    data = loader.fingerprint
    ids = tokenizer.encode_array(text).astype("<u4")
    assert data.sha256 == hashlib.sha256(ids.tobytes()).hexdigest()
    other = GPTDataLoader(CONFIG, tokenizer, text=text[:-1] + " ", source="input.txt")
    assert other.fingerprint.sha256 != data.sha256
    assert other.fingerprint.source == "input.txt"


def test_an_evaluation_set_has_val_alone(dataset, letters, tokenizer, text):
    for loader in (
        GPTDataLoader(CONFIG, letters, dataset_dir=dataset, eval_only=True),
        GPTDataLoader(CONFIG, tokenizer, text=text, eval_only=True),
    ):
        assert set(loader.splits) == {"val"}
        assert loader.fingerprint.train_tokens == 0
        assert loader.fingerprint.val_tokens == loader.val_tokens
        assert loader.eval_batch("val", 0, 0)[0].shape == (4, 8)
    assert loader.val_tokens == len(text)


def test_an_evaluation_set_has_a_stream_of_its_own(tokenizer, text):
    both = evolve(CONFIG, batch_size=64)
    whole = GPTDataLoader(both, tokenizer, text=text)
    ids = whole.splits["val"].shards[0]
    alone = GPTDataLoader(both, tokenizer, text=tokenizer.decode(ids), eval_only=True)
    assert not same(whole.eval_batch("val", 0, 0), alone.eval_batch("val", 0, 0))


@pytest.mark.parametrize("name", ["dante_char", "chat_gpt2"])
def test_data_sets_of_the_earlier_program_are_loaded(fixtures, factories, name):
    folder = fixtures / "mypt" / "datasets" / name
    expected = json.loads((folder.parent / f"{name}.expected.json").read_text(encoding="utf-8"))
    state = json.loads((folder / "tokenizer_state.json").read_text(encoding="utf-8"))
    tokenizer = factories[state["token_kind"]].build(state)
    loader = GPTDataLoader(CONFIG, tokenizer, dataset_dir=folder)
    x, _, _, _ = loader.train_batch(0, 0, 0)
    assert x.shape == (4, 8)
    for split in ("train", "val"):
        ids = np.concatenate(loader.splits[split].shards)
        assert tokenizer.decode(ids) == expected[f"{split}_text"]


def refusal(*args, **kwargs):
    with pytest.raises(DataError) as caught:
        GPTDataLoader(*args, **kwargs)
    [problem] = caught.value.problems
    assert "\n" not in str(problem)
    return problem


def test_a_text_shorter_than_a_window_is_refused_with_the_numbers(tokenizer):
    problem = refusal(CONFIG, tokenizer, text="the cat " * 10, source="input.txt")
    assert str(problem) == (
        "input.txt: block_size 8 needs 9 contiguous tokens; there are 72 for train, 8 for val; "
        "use more text, or a block_size of at most 7"
    )
    GPTDataLoader(evolve(CONFIG, block_size=7), tokenizer, text="the cat " * 10)
    GPTDataLoader(CONFIG, tokenizer, text="the cat " * 11 + "th")


def test_a_text_of_next_to_nothing_is_refused(tokenizer):
    for text in ("", "a"):
        assert refusal(CONFIG, tokenizer, text=text).fix == "use more text"


def test_a_data_set_without_a_long_shard_is_refused_and_not_searched_for_ever(dataset, letters):
    problem = refusal(evolve(CONFIG, block_size=9), letters, dataset_dir=dataset)
    assert problem.file == str(dataset)
    assert "block_size 9 needs 10 contiguous tokens; there are 20 for train, 9" in problem.what
    assert "block_size of at most 8" in problem.fix


def test_ids_beyond_the_model_are_refused(dataset, letters):
    small = evolve(CONFIG, vocab_size=43)
    what = "holds the id 43, but vocab_size is 43"
    assert refusal(small, letters, dataset_dir=dataset).what == what
    assert refusal(small, letters, text=letters.decode(range(44)) * 3).what == what
    GPTDataLoader(evolve(CONFIG, vocab_size=44), letters, dataset_dir=dataset)


@pytest.mark.parametrize("sampling", ["random", "epoch"])
def test_only_tokens_that_can_be_drawn_are_counted(dataset, letters, sampling):
    loader = GPTDataLoader(CONFIG, letters, dataset_dir=dataset, sampling=sampling)
    drawn = set()
    for step in range(200):
        x, y, _, _ = loader.train_batch(1, step, 0)
        drawn |= {*x.flatten().tolist(), *y.flatten().tolist()}
    assert loader.train_tokens == len(drawn) == {"random": 30, "epoch": 26}[sampling]
    assert loader.left_out == [
        f"{dataset} train holds 1 shard of 3 with 5 tokens, too short for block_size 8, which are "
        "left out"
    ]


def test_a_data_set_of_another_tokenizer_is_refused(dataset, factories):
    for other in (factories["gpt2"].train(""), factories["char"].train("\nabc")):
        problem = refusal(CONFIG, other, dataset_dir=dataset)
        assert problem.file.endswith("tokenizer_state.json")
        assert "differs from the model's" in problem.what


def test_a_data_set_that_does_not_name_its_tokenizer_is_trusted(dataset, letters):
    (dataset / "tokenizer_state.json").unlink()
    assert GPTDataLoader(CONFIG, letters, dataset_dir=dataset).train_tokens == 30


def test_a_data_set_written_without_special_tokens_fits_any_gpt2(dataset, factories):
    (dataset / "tokenizer_state.json").write_text('{"token_kind": "gpt2", "chars": null}')
    special = factories["gpt2"].build({"special_token_encoder": {"<a>": 50257}})
    assert GPTDataLoader(CONFIG, special, dataset_dir=dataset).val_tokens == 9


def test_a_character_that_the_vocabulary_lacks_is_refused(factories):
    tokenizer = factories["char"].train("abc\n")
    problem = refusal(CONFIG, tokenizer, text="abc\nabd", source="input.txt")
    assert str(problem).startswith("input.txt line 2, column 3: the vocabulary of 4 characters")


@pytest.mark.parametrize("sources", [{}, {"text": "a", "dataset_dir": "b"}])
def test_a_caller_gives_one_source(tokenizer, sources):
    with pytest.raises(ConfigError, match="give one of text, dataset_dir"):
        GPTDataLoader(CONFIG, tokenizer, **sources)


@pytest.mark.parametrize("grad_accum_steps", [1, 3])
def test_an_epoch_takes_every_block_once_before_any_comes_again(tokenizer, text, grad_accum_steps):
    config = evolve(CONFIG, batch_size=5)
    loader = GPTDataLoader(config, tokenizer, text=text[:3001], sampling="epoch")
    n = loader.splits["train"].blocks(8)
    rows = []
    step = 0
    while len(rows) < 3 * n:
        for micro_step in range(grad_accum_steps):
            rows += loader.train_batch(1, step, micro_step, first_window=len(rows)).x.tolist()
        step += 1
    ids = loader.splits["train"].shards[0]
    expected = sorted(ids[i : i + 8].tolist() for i in range(0, 8 * n, 8))
    epochs = [rows[i : i + n] for i in range(0, 3 * n, n)]
    assert all(sorted(epoch) == expected for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_some_rows_are_those_of_the_whole_batch(tokenizer, text):
    for sampling in ("random", "epoch"):
        loader = GPTDataLoader(CONFIG, tokenizer, text=text, sampling=sampling)
        whole = loader.train_batch(3, 2, 1, first_window=7)
        some = loader.train_batch(3, 2, 1, first_window=7, rows=slice(1, 4, 2))
        assert same(some, [part[1:4:2] for part in whole[:2]])


def test_a_loop_without_accumulation_need_not_count_windows(tokenizer, text):
    loader = GPTDataLoader(CONFIG, tokenizer, text=text, sampling="epoch")
    assert same(loader.train_batch(1, 3, 0), loader.train_batch(1, 9, 2, first_window=12))
    with pytest.raises(ConfigError, match="need first_window"):
        loader.train_batch(1, 3, 1)


def test_a_batch_larger_than_an_epoch_goes_on_with_the_next(tokenizer):
    config = evolve(CONFIG, batch_size=25, block_size=2)
    loader = GPTDataLoader(config, tokenizer, text="line: at." * 3, sampling="epoch")
    n = loader.splits["train"].blocks(2)
    assert n < 25
    assert loader.train_batch(0, 0, 0).x.shape == (25, 2)
