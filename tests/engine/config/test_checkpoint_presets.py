import json
import shutil

import pytest

from mypt.engine.config.presets import read_preset
from mypt.format.errors import FormatError
from mypt.format.layout import BUILT_IN


@pytest.fixture
def model(bundle, in_tmp):
    return shutil.copytree(bundle, in_tmp / "checkpoints" / "cat")


def read(path):
    return read_preset(str(path), BUILT_IN)


@pytest.mark.parametrize("name", ["cat", "checkpoints/cat", "checkpoints/cat/config.json"])
def test_a_model_is_a_preset_by_its_name_its_folder_and_its_config(model, name):
    preset = read(name)
    assert preset.tokenization == "char"
    assert (preset.config.n_layer, preset.config.n_head, preset.config.batch_size) == (2, 2, 4)
    assert preset.training["max_iters"] == 60
    assert preset.training["learning_rate"] == 0.003
    assert not {"log_file", "start_step", "input_file"} & preset.training.keys()


def test_a_shipped_preset_wins_over_a_model_of_its_name(model, in_tmp):
    model.rename(in_tmp / "checkpoints" / "tiny")
    assert read("tiny").name == "GPT-Tiny"
    assert read("checkpoints/tiny").name == "tiny"


def test_a_config_without_its_neighbours_gives_the_architecture_alone(model, in_tmp):
    shutil.copy(model / "config.json", in_tmp / "mine.json")
    preset = read("mine.json")
    assert preset.training == {}
    assert "tokenization" not in preset.document
    assert preset.config.n_layer == 2
    assert "mine records no hyperparameters: the defaults are taken" in preset.remarks


def test_only_what_was_recorded_is_taken(model):
    (model / "training_state.json").write_text(
        json.dumps({"format_version": "2.0", "step": 9, "training_config": {"beta1": 0.8}})
    )
    assert read("cat").training == {"beta1": 0.8}


def test_a_damaged_training_state_is_left_out_and_named(model):
    (model / "training_state.json").write_text("{")
    preset = read("cat")
    assert preset.training == {}
    assert "training_state.json: is not JSON" in preset.remarks[-1]


def test_a_damaged_config_is_refused_by_its_name(model):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"n_layer": "six"}))
    with pytest.raises(FormatError, match=r"checkpoints/cat/config\.json#/n_layer"):
        read("cat")


def test_the_vocabulary_size_of_a_fixed_vocabulary_is_taken(model):
    tokenizer = {"format_version": "2.0", "token_kind": "gpt2"}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"vocab_size": 50304}))
    assert read("cat").architecture["vocab_size"] == 50304


def test_what_version_1_left_to_the_tensors_is_in_the_preset(fixtures):
    preset = read(fixtures / "mypt" / "bundle_v1_partial_char")
    assert preset.config.mlp_type == "relu"
    assert preset.config.has_proj_bias


def test_a_new_model_is_trained_by_the_settings_of_another(model, cli, in_tmp, text):
    (in_tmp / "input.txt").write_text(text.replace("cat", "\u00e9l\u00e9phant"))
    given = ("--config_file", "checkpoints/cat/config.json", "--input_file", "input.txt")
    code, out, err = cli("train", "--model_name", "dog", *given, "--max_iters", "2")
    assert code == 0, err
    assert "Taken from cat: architecture, tokenizer char, " in out
    assert "Not taken from cat: weights, vocabulary, log_file, vocab_size" in out
    dog = json.loads((in_tmp / "checkpoints" / "dog" / "config.json").read_text())
    cat = json.loads((model / "config.json").read_text())
    differing = {name for name in cat if dog[name] != cat[name]}
    assert differing <= {"vocab_size", "device"}
    state = json.loads((in_tmp / "checkpoints" / "dog" / "training_state.json").read_text())
    assert state["training_config"]["learning_rate"] == 0.003
    assert (state["lineage"], state["training_config"]["init_from_model"]) == ([], None)


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("hf_gpt2", "hugging_face"),
        ("hf_gpt2/config.json", "hugging_face"),
        ("hf_gpt2/tokenizer.json", "hugging_face"),
        ("hf_llama_untied/config.json", "hugging_face"),
        ("nanogpt_char/ckpt.pt", "nanogpt"),
    ],
)
def test_a_checkpoint_of_another_program_is_no_preset_and_one_line(cli, fixtures, name, reader):
    path = fixtures / "foreign" / name
    folder = path if path.suffix in ("", ".pt") else path.parent
    for command in (["configs"], ["train", "--model_name", "dog", "--config_file"]):
        code, out, err = cli(*command, path)
        assert (code, out) == (2, "")
        (line,) = err.splitlines()
        assert line == (
            f"error: {path}: is of a checkpoint of another program ({reader}), not a preset; "
            f"begin from its weights: --init_from_model {folder}"
        )


def test_a_config_of_another_program_without_its_weights_is_one_line(cli, fixtures, in_tmp):
    shutil.copy(fixtures / "foreign" / "hf_gpt2" / "config.json", in_tmp / "mine.json")
    code, _, err = cli("configs", "mine.json")
    assert (code, err.count("\n")) == (2, 1)
    assert "mine.json: is of a checkpoint of another program (Hugging Face), not a preset" in err
    for path in ("mine.json", fixtures / "foreign" / "hf_gpt2" / "config.json"):
        code, out, err = cli("format", "validate", path)
        assert (code, (out + err).count("error: ")) == (1, 1)
        assert f"{path}: is a config.json of Hugging Face; name its folder" in out + err


@pytest.mark.parametrize(
    "name", ["training_state.json", "tokenizer.json", "manifest.json", "model.pt"]
)
def test_another_file_of_a_bundle_leads_to_its_folder(model, cli, name):
    code, _, err = cli("configs", f"checkpoints/cat/{name}")
    expected = "is one file of a checkpoint; name the folder: checkpoints/cat"
    assert (code, err) == (2, f"error: checkpoints/cat/{name}: {expected}\n")
