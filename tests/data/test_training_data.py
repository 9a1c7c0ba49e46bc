"""What is trained and measured on, as the hyperparameters name it."""

import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from mypt.data.metadata import STATE_FILE
from mypt.data.training_data import load_eval_sets, read_training_data
from mypt.format.bundle.read import read_bundle
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


def test_sets_are_folders_and_text_files_under_names_of_their_own(
    in_tmp, shards, tokenizer, text, plugins
):
    (in_tmp / "other.txt").write_text(text[:500])
    training = TrainingConfig(
        eval_sets={"tokens": shards, "words": "other.txt"}, eval_dataset_dir=shards
    )
    config = GPTConfig(block_size=8, vocab_size=tokenizer.vocab_size)
    sets = load_eval_sets(config, tokenizer, training, plugins)
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


def test_the_standard_library_is_an_input_by_its_name(plugins):
    (text,) = read_training_data(TrainingConfig(input_file="stdlib"), plugins).texts
    assert "standard library" in text.source


def test_a_missing_text_is_refused(plugins):
    with pytest.raises(MyptError, match=r"nowhere\.txt"):
        read_training_data(TrainingConfig(input_file="nowhere.txt"), plugins)


@pytest.fixture
def texts(in_tmp, text):
    """Texts of other words and of the same characters."""
    (in_tmp / "dogs.txt").write_text(text.replace("cat", "tac"))
    (in_tmp / "val.txt").write_text(text[300:700])
    (in_tmp / "input.txt").write_text(text)
    return in_tmp


@pytest.mark.parametrize("sampling", ["random", "epoch"])
@pytest.mark.parametrize(
    "data",
    [
        {"mixture": {"input.txt": 3, "dogs.txt": 1}},
        {"mixture": {"input.txt": 0.5, "prepared": 0.5}, "val_file": "val.txt"},
        {"input_file": "dogs.txt", "val_file": ["val.txt", "input.txt"]},
        {
            "curriculum": [
                {"name": "one", "until_iter": 3, "mixture": {"dogs.txt": 1, "prepared": 2}},
                {"name": "two", "input_file": "dogs.txt"},
            ],
            "val_file": "val.txt",
        },
    ],
    ids=["mixture", "with shards", "val_file", "curriculum"],
)
def test_a_run_goes_on_exactly_from_any_step(train, texts, shards, digests, data, sampling):
    run = {**data, "sampling": sampling, "warmup_iters": 50, "grad_accum_steps": 2}
    whole = train("whole", max_iters=6, **run)
    for stop in (1, 3, 4):
        name = f"broken-{stop}"
        train(name, max_iters=stop, **run)
        state = train(name, max_iters=6, input_file=None)
        assert state.data == whole.data
        assert state.epoch == whole.epoch
        assert state.inexact_reasons == ()
        assert digests(name) == digests("whole")


def test_all_of_the_text_is_trained_on_and_all_of_the_other_validated_on(train, texts, text):
    state = train(val_file="val.txt", input_file="dogs.txt")
    assert (state.data.train_tokens, state.data.val_tokens) == (len(text), 400)
    assert state.data.source == "dogs.txt, validated on val.txt"


def test_a_new_vocabulary_has_the_characters_of_all_texts(train, texts):
    (texts / "odd.txt").write_text("the odd one: §\n" * 20)
    train(val_file="odd.txt", mixture={"dogs.txt": 1, "input.txt": 1})
    chars = read_bundle(texts / "checkpoints" / "cat").tokenizer.chars
    assert "§" in chars


def test_a_model_with_a_vocabulary_refuses_what_it_lacks(train, texts):
    train()
    (texts / "odd.txt").write_text("the odd one: §\n" * 20)
    with pytest.raises(
        DataError, match=r"odd.txt line 1, column 6: the vocabulary of 26 characters lacks"
    ):
        train(max_iters=13, val_file="odd.txt", input_file=None)


def test_another_validation_text_or_other_shares_are_another_run(train, texts):
    train(mixture={"dogs.txt": 1, "input.txt": 1})
    state = train(max_iters=13, mixture={"input.txt": 2, "dogs.txt": 2})
    assert [r for r in state.inexact_reasons if "max_iters" not in r] == []
    state = train(max_iters=14, mixture={"input.txt": 2, "dogs.txt": 1})
    assert any("mixture changed from [0.5, 0.5] to" in r for r in state.inexact_reasons)
    assert any("the data changed" in r for r in state.inexact_reasons)
    state = train(max_iters=15, mixture={"input.txt": 2, "dogs.txt": 1}, val_file="val.txt")
    assert "validated on val.txt" in state.inexact_reasons[-1]


def test_the_validation_split_of_a_data_set_that_is_not_used_is_named(train, texts, shards, capsys):
    state = train(dataset_dir=shards, val_file="val.txt", quiet=False)
    assert state.data.val_tokens == 400
    said = " ".join(capsys.readouterr().out.split())
    assert "prepared has a validation split, which is not used: val.txt is validated on" in said


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"input_file": "input.txt", "val_file": "input.txt"}, "input.txt: is read twice"),
        (
            {"input_file": "input.txt", "val_file": "./input.txt"},
            "is read twice; name it once",
        ),
        ({"input_file": ".", "val_file": "val.txt"}, "val.txt: is read twice"),
        ({"mixture": {"val.txt": 1, "dogs.txt": 1}, "val_file": "val.txt"}, "is read twice"),
        ({"mixture": {"dogs.txt": 1, "./dogs.txt": 1}}, "is read twice"),
        ({"input_file": "stdlib", "val_file": "stdlib"}, "stdlib.*is trained on"),
        ({"mixture": {"dogs.txt": 1, "gone.txt": 1}}, "gone.txt: there is no such"),
        ({"mixture": {"dogs.txt": 1, "short.txt": 1}}, "short.txt: .*contiguous tokens"),
        ({"input_file": "dogs.txt", "val_file": "gone.txt"}, "gone.txt: there is no such"),
        ({"input_file": "dogs.txt", "val_file": "short.txt"}, "short.txt: .*contiguous tokens"),
        ({"mixture": {"dogs.txt": 0}}, "mixture/dogs.txt"),
        ({"mixture": {"dogs.txt": 1}, "input_file": "input.txt"}, "is given together with"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_by_name(train, texts, data, message):
    (texts / "short.txt").write_text("a cat")
    with pytest.raises(MyptError, match=message):
        train(**{"input_file": None, **data})
    assert not (texts / "checkpoints" / "cat").exists()


def test_other_data_replace_a_mixture(train, texts):
    train(mixture={"dogs.txt": 1, "input.txt": 1})
    state = train(max_iters=13, input_file="dogs.txt")
    assert state.training_config.mixture == {}
    assert state.data.source == "dogs.txt"


def as_lines(text, field="text"):
    return "".join(json.dumps({field: line}) + "\n" for line in text.splitlines())


@pytest.fixture
def lines(in_tmp, text):
    """The same documents plain and packed, and in another field."""
    (in_tmp / "a.jsonl").write_text(as_lines(text))
    (in_tmp / "a.jsonl.gz").write_bytes(gzip.compress(as_lines(text).encode()))
    (in_tmp / "body.jsonl.xz").write_bytes(lzma.compress(as_lines(text, "body").encode()))
    (in_tmp / "upper.jsonl").write_text(as_lines(text.upper()))


def test_the_same_documents_are_the_same_data_in_every_form(train, lines, digests):
    train("plain", input_file="a.jsonl")
    train("packed", input_file="a.jsonl.gz")
    train("field", input_file="body.jsonl.xz", data_options={"field": "body"})
    forced = train("forced", input_file="a.jsonl", data_source="jsonl")
    assert forced.training_config.data_source == "jsonl"
    assert digests("plain") == digests("packed") == digests("field") == digests("forced")


def test_a_resume_from_another_form_is_exact_and_from_other_texts_is_not(train, lines, digests):
    constant = {"lr_schedule": "constant", "warmup_iters": 0}
    train("whole", input_file="a.jsonl", **constant)
    train("cat", input_file="a.jsonl", max_iters=4, **constant)
    assert train("cat", input_file="a.jsonl.gz").exact
    assert digests("cat") == digests("whole")
    train("dog", input_file="a.jsonl", max_iters=4, **constant)
    assert train("dog", input_file="body.jsonl.xz", data_options={"field": "body"}).exact
    Path("a.jsonl").write_text(as_lines("the cat sat on the hat\n" * 300))
    train("cow", input_file="a.jsonl.gz", max_iters=4, **constant)
    state = train("cow", input_file="a.jsonl")
    assert not state.exact
    assert "data" in state.inexact_reasons[0]


def test_phases_and_sets_are_read_as_the_run_says(train, lines, logged):
    phases = [
        {"name": "one", "input_file": "a.jsonl.gz", "until_iter": 4},
        {"name": "two", "input_file": ["body.jsonl.xz"]},
    ]
    options = {"field": "body"}
    with pytest.raises(DataError, match=r"a\.jsonl\.gz line 1: has no field `body`"):
        train(input_file=None, curriculum=phases, data_options=options)
    phases[0]["input_file"] = "body.jsonl.xz"
    train(
        input_file=None,
        curriculum=phases,
        data_options=options,
        eval_sets={"x": "body.jsonl.xz", "t": "input.txt"},
    )
    assert all(event["eval_x"] > 0 and event["eval_t"] > 0 for event in logged(kind="eval"))


def test_an_option_that_no_source_has_is_refused(train, lines):
    for options in ({"feild": "body"}, {"field": 5}):
        with pytest.raises(ConfigError, match="data_options/"):
            train(input_file="a.jsonl", data_options=options)
    with pytest.raises(MyptError, match="no plugin offers the data source `jsnol`"):
        train(input_file="a.jsonl", data_source="jsnol")
    assert not [*Path("checkpoints").glob("*")]


def test_files_of_a_run_are_documents(in_tmp, plugins):
    (in_tmp / "a.txt").write_text("one text")
    (in_tmp / "b.txt").write_text("another " * 40)
    training = TrainingConfig(input_file=("a.txt", "b.txt"))
    config = GPTConfig(block_size=2, vocab_size=50304)
    gpt2 = plugins.tokenizer("gpt2").build({})
    data = read_training_data(training, plugins)
    loader = data.load(config, gpt2, training).phases[0].loader
    ids = [number for split in loader.splits.values() for number in split.shards[0].tolist()]
    assert ids == [*gpt2.encode("one text"), 50256, *gpt2.encode("another " * 40)]
