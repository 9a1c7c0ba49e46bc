import attrs
import pytest

from mypt.format.documents.config import GPTConfig
from mypt.format.documents.training import TrainingConfig
from mypt.format.names.lookup import explain_name, find_command, find_known

KNOWN = [f.name for cls in (GPTConfig, TrainingConfig) for f in attrs.fields(cls)]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lr", "learning_rate"),
        ("LR", "learning_rate"),
        ("gradient-accumulation-steps", "grad_accum_steps"),
        ("train.max_steps", "max_iters"),
        ("eval.max_iters", "eval_iters"),
        ("hidden_size", "n_embd"),
        ("dataset_text_field", "data_options"),
        ("text_column", "data_options"),
        ("learning-rate", "learning_rate"),
        ("N_LAYER", "n_layer"),
    ],
)
def test_a_name_is_found_by_what_it_means(word, meant):
    assert find_known(word, KNOWN)[0] == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("max_itres", "max_iters"),
        ("dropot", "dropout"),
        ("bais", "bias"),
        ("n_lyer", "n_layer"),
        ("warmup_it", "warmup_iters"),
        ("learningrate", "learning_rate"),
    ],
)
def test_a_misspelt_name_is_found_by_its_letters(word, meant):
    assert find_known(word, KNOWN) == [meant]


@pytest.mark.parametrize("word", ["help", "foo", "", "x", "evl", "--", "print_loud", "rate"])
def test_what_is_not_near_is_not_suggested(word):
    assert find_known(word, KNOWN) == []
    assert explain_name(word, KNOWN) == ""


def test_what_has_no_counterpart_says_how_it_is_done():
    said = explain_name("num_beams", KNOWN)
    assert said.startswith(": there is no search: each token is drawn, or with `temperature` 0")
    assert "`--temperature`" in explain_name("num_beams", KNOWN, mark="--")


def test_a_setting_of_another_place_says_where_it_is():
    training = [field.name for field in attrs.fields(TrainingConfig)]
    config = {field.name: "a field of GPTConfig" for field in attrs.fields(GPTConfig)}
    for word in ("n_layer", "num_hidden_layers"):
        assert explain_name(word, training, config) == ": `n_layer` is a field of GPTConfig"


def test_a_setting_of_an_unnamed_place_still_has_its_name():
    said = ": that is `learning_rate` in mypt, which is set in another place"
    assert explain_name("lr", ["n_layer"]) == said


def test_a_command_is_found_by_meaning_then_by_letters():
    commands = ["train", "generate", "format validate"]
    assert find_command("sample", commands).ours == "generate"
    assert find_command("trian", commands).ours == "train"
    assert find_command("check", commands).ours == "format validate"
    assert find_command("convert", commands) is None
    assert find_command("nonsense", commands) is None
    assert find_command("help", commands).how == "`mypt --help` lists the commands"


def test_a_long_word_is_looked_at_in_no_time():
    assert find_known("no" * 1_000_000, ["n" * 90]) == []
