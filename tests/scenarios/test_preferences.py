"""Learning from preferences (DPO), from the lines of JSON to the tuned model."""

import json
import math

import pytest
import torch
from attrs import evolve

import mypt
from mypt.data.batches.loader import GPTDataLoader
from mypt.data.metadata import METADATA_FILE
from mypt.format.errors import ConfigError, DataError

TURNS = [("1", "the cat"), ("2", "9 times"), ("3", "on the mat"), ("4", "the sat")]


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def prepared(train, cli, in_tmp):
    """A model, and a data set of preferences that was prepared with it."""
    train("base", max_iters=2, block_size=24, chat_template="plain")
    write_lines(
        in_tmp / "prefs.jsonl",
        *(
            {"prompt": f"line {a}:", "chosen": f" {b}", "rejected": " the mat sat."}
            for a, b in TURNS
        ),
    )
    words = ("data", "preferences", "prefs.jsonl", "--output", "prefs", "--from_model", "base")
    code, _, err = cli(*words, "--chat_template", "none.jinja")
    assert (code, "neither a file" in err) == (1, True)
    code, out, err = cli(*words)
    assert code == 0, err
    assert "preferences" in out
    return in_tmp


def test_a_preview_says_which_answer_of_a_pair_is_shown(cli, prepared):
    code, out, err = cli("data", "inspect", "prefs", "--show", "3")
    assert code == 0, err
    assert ", 3 pairs\n" in out
    for named in ("train 1, chosen: ", "train 1, rejected: ", "train 2, chosen: "):
        assert named in out


TUNE = {"init_from_model": "base", "dataset_dir": "prefs", "dropout": 0.0, "learning_rate": 0.003}
TUNE |= {"block_size": None, "n_embd": None, "n_head": None, "n_layer": None}


@pytest.fixture
def tune(train, prepared):
    return lambda name="tuned", **fields: train(name, tokenization=None, **TUNE, **fields)


def test_the_loss_begins_at_log_two_and_chosen_answers_become_likelier(tune, logged):
    tune(max_iters=12, eval_interval=4)
    losses = [event["val_loss"] for event in logged("tuned", "eval")]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < losses[0] - 0.05
    before, after = mypt.load("base"), mypt.load("tuned")
    loader = GPTDataLoader(after.config, after.tokenizer, dataset_dir="prefs")
    batch = loader.train_batch(1, 0, 0)
    margins = []
    for model in (before, after):
        with torch.inference_mode():
            found = model.log_likelihoods(batch.x, batch.y, batch.mask)
        margins.append(found[::2] - found[1::2])
    torch.testing.assert_close(margins[0], batch.reference, atol=1e-4, rtol=1e-4)
    assert margins[1].mean() > margins[0].mean()


@pytest.mark.parametrize("rank", [None, 2])
def test_a_run_that_was_stopped_ends_in_the_same_bytes(tune, stop_at, digests, rank):
    fields = {"max_iters": 8, "eval_interval": 4, "lora_rank": rank}
    tune("whole", **fields)
    stop_at(3)
    tune("parts", **fields)
    stop_at(None)
    tune("parts", **fields)
    assert digests("parts") == digests("whole")
    assert mypt.get_model_info("parts")["training_state"]["exact"]


def test_another_model_than_the_one_compared_with_is_refused(train, prepared):
    train("other", max_iters=3, block_size=24, chat_template="plain")
    with pytest.raises(ConfigError, match="compares its answers with another model"):
        train("tuned", tokenization=None, **{**TUNE, "init_from_model": "other"})
    with pytest.raises(ConfigError, match="compares its answers with another model"):
        train("base", tokenization=None, **{**TUNE, "init_from_model": None}, max_iters=4)


def test_preferences_of_an_adapter_are_prepared_with_the_base_that_is_named(
    train, cli, prepared, in_tmp
):
    begun = {field: value for field, value in TUNE.items() if field != "dataset_dir"}
    train("part", lora_rank=2, max_iters=3, tokenization=None, **begun)
    (in_tmp / "checkpoints" / "base").rename(in_tmp / "elsewhere")
    words = ("data", "preferences", "prefs.jsonl", "--output", "pairs", "--from_model", "part")
    code, _, err = cli(*words)
    assert (code, "base" in err) == (1, True)
    assert not (in_tmp / "pairs").exists()
    code, _, err = cli(*words, "--base", "elsewhere")
    assert code == 0, err
    metadata = json.loads((in_tmp / "pairs" / METADATA_FILE).read_text())
    recorded = metadata["reference"]
    assert recorded["model"] == "part"
    (in_tmp / "elsewhere").rename(in_tmp / "checkpoints" / "base")
    fields = TUNE | {"init_from_model": "part", "dataset_dir": "pairs", "max_iters": 1}
    assert train("tuned", tokenization=None, **fields).lineage[-1].sha256 == recorded["sha256"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"loss_options": {"z_loss": 0.1}}, "loss: has no effect on preferences"),
        ({"document_mask": True}, "document_mask: has no effect on preferences"),
    ],
)
def test_what_has_no_effect_on_preferences_is_refused(fields, said, tune):
    with pytest.raises(ConfigError, match=said):
        tune(**fields)


def test_a_beta_without_preferences_is_said_to_have_no_effect(train, capsys):
    train(dpo_beta=0.5, max_iters=1, quiet=False)
    assert "dpo_beta has no effect: the data hold no preferences" in capsys.readouterr().out


def test_preferences_are_trained_on_alone(tune):
    with pytest.raises(DataError, match="holds preferences, and is validated on other data"):
        tune(val_file="input.txt")


def test_a_smaller_row_than_that_of_the_answers_is_refused(prepared):
    model = mypt.load("base")
    with pytest.raises(DataError, match="which block_size 4 cuts"):
        GPTDataLoader(evolve(model.config, block_size=4), model.tokenizer, dataset_dir="prefs")
