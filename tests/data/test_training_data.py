"""What is trained and measured on, as the hyperparameters name it."""

import numpy as np
import pytest

from mypt.data.metadata import STATE_FILE
from mypt.data.training_data import load_eval_sets, read_training_data
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import ConfigError, DataError, MyptError
from mypt.format.schema import strict_json


@pytest.fixture
def tokenizer(plugins, text):
    return plugins.tokenizer("char").train(text)


@pytest.fixture
def shards(in_tmp, tokenizer, text):
    """A folder of token shards; gives its name."""
    folder = in_tmp / "prepared"
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        np.array(tokenizer.encode(text[:2000]), "<u4").tofile(folder / split / "shard_00000.bin")
    (folder / STATE_FILE).write_bytes(strict_json.dump(tokenizer.state()))
    return "prepared"


def test_sets_are_folders_and_text_files_under_names_of_their_own(in_tmp, shards, tokenizer, text):
    (in_tmp / "other.txt").write_text(text[:500])
    training = TrainingConfig(
        eval_sets={"tokens": shards, "words": "other.txt"}, eval_dataset_dir=shards
    )
    config = GPTConfig(block_size=8, vocab_size=tokenizer.vocab_size)
    sets = load_eval_sets(config, tokenizer, training)
    assert list(sets) == ["tokens", "words", "prepared"]
    assert sets["words"].val_tokens == 500
    assert sets["tokens"].val_tokens == sets["prepared"].val_tokens == 2000


def test_a_run_measures_every_set_in_every_evaluation(train, shards, in_tmp, text, logged):
    (in_tmp / "other.txt").write_text(text[:500])
    train(eval_sets={"words": "other.txt"}, eval_dataset_dir=shards)
    for event in logged(kind="eval"):
        assert event["eval_words"] > 0
        assert event["eval_prepared"] > 0


def test_sets_change_no_weight(train, shards, digests):
    train("plain")
    train(eval_sets={"words": "input.txt"}, eval_dataset_dir=shards)
    assert digests() == digests("plain")


def test_gold_may_go_by_a_mean_of_sets(train, logged):
    state = train(
        eval_sets={"words": "input.txt"},
        gold_metric={"val": 1, "words": 3},
        gold_guards={"overfit": False, "trend": False, "eval_regression": False},
    )
    means = [round((e["val_loss"] + 3 * e["eval_words"]) / 4, 6) for e in logged(kind="eval")]
    assert state.gold.best_val_loss == min(means)
    assert [e["gold_loss"] for e in logged(kind="gold_checkpoint")][-1] == min(means)


def test_two_sets_of_one_name_are_refused(train, shards, in_tmp):
    with pytest.raises(ConfigError, match=r"eval_dataset_dir.*`prepared`"):
        train(eval_sets={"prepared": "input.txt"}, eval_dataset_dir=shards)
    assert not (in_tmp / "checkpoints").exists()


def test_a_metric_that_nobody_measures_is_refused_with_a_suggestion(train):
    with pytest.raises(ConfigError, match="did you mean `words`"):
        train(eval_sets={"words": "input.txt"}, gold_metric={"word": 1})


@pytest.mark.parametrize("place", ["nowhere", "nowhere.txt"])
def test_a_set_that_is_not_there_is_refused(train, place):
    with pytest.raises(DataError, match=place):
        train(eval_sets={"words": place})


def test_a_set_with_letters_that_the_model_does_not_know_is_refused_by_name(train, in_tmp):
    (in_tmp / "greek.txt").write_text("αβγ" * 50)
    with pytest.raises(DataError, match=r"greek\.txt"):
        train(eval_sets={"greek": "greek.txt"})


def test_a_model_on_shards_takes_their_tokenizer(train, shards, tokenizer, logged):
    state = train(dataset_dir=shards, tokenization=None)
    assert state.data.source == shards
    assert state.data.train_tokens == 2000


def test_data_of_two_kinds_are_refused(train, shards, in_tmp):
    with pytest.raises(ConfigError, match="input_file: is given together with dataset_dir"):
        train(dataset_dir=shards, input_file="input.txt")
    assert not (in_tmp / "checkpoints").exists()


def test_data_given_to_a_resume_take_the_place_of_those_before(train, shards):
    train()
    state = train(dataset_dir=shards, max_iters=13)
    assert state.data.source == shards
    assert state.training_config.input_file is None
    state = train(curriculum=[{"name": "all", "input_file": "input.txt"}], max_iters=14)
    assert state.data.source == "input.txt"
    assert state.training_config.dataset_dir is None
    assert [reason.split(":")[0] for reason in state.inexact_reasons if "data" in reason] == [
        "step 12",
        "step 13",
    ]


def test_the_standard_library_is_an_input_by_its_name():
    (text,) = read_training_data(TrainingConfig(input_file="stdlib")).texts
    assert "standard library" in text.source


def test_a_missing_text_is_refused():
    with pytest.raises(MyptError, match=r"nowhere\.txt"):
        read_training_data(TrainingConfig(input_file="nowhere.txt"))
