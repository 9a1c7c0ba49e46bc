import math
import shutil

import numpy as np
import pytest
import torch

import mypt
from mypt.comparison.results import HeldOut, text_of_data_set, try_models
from mypt.comparison.settings import differing, open_sides
from mypt.format.errors import ConfigError, DataError
from mypt.model.decoding.sampling_options import Sampling
from mypt.plugins.manager import load_plugins

SHORT = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def plugins():
    return load_plugins()


@pytest.fixture
def model(plugins, tmp_path, text):
    """Save an untrained model; gives a function from a name and fields of the config."""

    def make(name, kind="char", seed=1, text=text, **fields):
        tokenizer = plugins.tokenizer(kind).train(text)
        config = mypt.GPTConfig(**{**SHORT, "vocab_size": tokenizer.vocab_size, **fields})
        folder = tmp_path / name
        mypt.GPT(config, tokenizer, seed=seed).save_checkpoint_bundle(
            folder, step=3, training_config={"learning_rate": 0.1 * seed}
        )
        return str(folder)

    return make


def results(sides, plugins, **wanted):
    given = {"held_out": None, "prompt": None, "max_new_tokens": 12, "sampling": Sampling(seed=1)}
    return list(try_models(sides, plugins, torch.device("cpu"), **{**given, **wanted}))


def test_equal_models_differ_in_nothing(model, plugins):
    name = model("a")
    assert differing(open_sides([name, name], plugins)) == {}


def test_only_what_differs_is_listed(model, plugins):
    sides = open_sides([model("a"), model("b", n_layer=2, seed=2)], plugins)
    assert [side.name for side in sides] == ["a", "b"]
    rows = differing(sides)
    assert rows["config.n_layer"] == [1, 2]
    assert rows["training_config.learning_rate"] == [0.1, 0.2]
    assert rows["parameters"][0] < rows["parameters"][1]
    assert set(rows) == {"parameters", "config.n_layer", "training_config.learning_rate"}


def test_a_rule_and_the_same_value_in_words_are_no_difference(model, plugins):
    sides = open_sides([model("a"), model("b", mlp_hidden=64, attn_scale=8**-0.5)], plugins)
    assert differing(sides) == {}
    sides = open_sides([model("a"), model("c", mlp_hidden=32)], plugins)
    assert differing(sides)["config.mlp_hidden"] == [64, 32]


def test_vocabularies_of_one_size_are_told_apart(model, plugins):
    sides = open_sides([model("a", text="abcd"), model("b", text="abce")], plugins)
    values = differing(sides)["tokenizer.chars"]
    assert values[0] != values[1]
    assert all(value.startswith("4 characters") for value in values)


def test_a_missing_training_state_is_no_difference(model, plugins, tmp_path):
    name = model("a")
    shutil.copytree(name, tmp_path / "bare")
    for file in ("training_state.json", "manifest.json"):
        (tmp_path / "bare" / file).unlink()
    sides = open_sides([name, str(tmp_path / "bare")], plugins)
    assert differing(sides) == {}
    assert not any(setting.startswith("training") for setting in sides[1].settings)


def test_models_of_one_name_are_called_by_their_paths(model, plugins, tmp_path):
    name = model("a")
    shutil.copytree(name, tmp_path / "other" / "a")
    sides = open_sides([name, str(tmp_path / "other" / "a")], plugins)
    assert [side.name for side in sides] == [name, str(tmp_path / "other" / "a")]


def test_old_formats_are_compared_with_new_ones(fixtures, plugins, bundle):
    old = fixtures / "mypt" / "legacy_latest_char"
    rows = differing(open_sides([str(old), str(bundle)], plugins))
    assert rows["format"] == ["mypt_file", "2.0"]


def test_a_trained_model_is_better_than_an_untrained_one(bundle, model, plugins, text):
    sides = open_sides([str(bundle), model("a")], plugins)
    scores = [r.score for r in results(sides, plugins, held_out=HeldOut(text=text, source="t"))]
    assert scores[0].bits_per_byte < scores[1].bits_per_byte
    assert len(scores[0].losses) == len(text) - 1


def test_models_of_different_tokenizers_are_measured_on_the_same_bytes(model, plugins):
    text = "Nel mezzo del cammin di nostra vita, \u00e8 gi\u00e0 sera.\n" * 5
    names = [model("char", text=text), model("gpt2", kind="gpt2", vocab_size=50257, n_embd=2)]
    sides = open_sides(names, plugins)
    held_out = HeldOut(text=text, source="dante.txt")
    assert held_out.size_bytes == len(text.encode()) > len(text)
    chars, gpt2 = [r.score for r in results(sides, plugins, held_out=held_out)]
    for score in (chars, gpt2):
        bits = score.loss / math.log(2) * len(score.losses)
        predicted_bytes = held_out.size_bytes - len("N")  # the first token of both
        assert score.bits_per_byte == pytest.approx(bits / predicted_bytes, rel=1e-6)
    assert len(chars.losses) == len(text) - 1
    assert len(gpt2.losses) < len(chars.losses)


def test_a_character_that_vocabularies_lack_names_all_such_models(model, plugins):
    sides = open_sides([model("a"), model("good", text="naïve"), model("b")], plugins)
    with pytest.raises(DataError) as caught:
        results(sides, plugins, held_out=HeldOut(text="naïve", source="t.txt"))
    said = str(caught.value).splitlines()
    assert len(said) == 2
    assert said[0].startswith("t.txt line 1, column 3: a cannot read it")
    assert "b cannot" in said[1]
    with pytest.raises(DataError, match=r"--prompt.* a cannot read it"):
        results(sides, plugins, prompt="ï")


def test_a_text_of_one_token_is_too_short(model, plugins):
    with pytest.raises(DataError, match="too short"):
        results(open_sides([model("a")], plugins), plugins, held_out=HeldOut(text="a", source="t"))


def test_a_model_without_tokenizer_cannot_be_measured(model, plugins, tmp_path):
    name = model("a")
    for file in ("tokenizer.json", "manifest.json"):
        (tmp_path / "a" / file).unlink()
    with pytest.raises(ConfigError, match="has no tokenizer"):
        results(open_sides([name, name], plugins), plugins, prompt="a")


def test_continuations_are_those_of_generate(bundle, model, plugins):
    names = [str(bundle), model("a")]
    told = [r.continuation for r in results(open_sides(names, plugins), plugins, prompt="line")]
    wanted = [mypt.load(name).generate("line", 12, seed=1) for name in names]
    assert ["line" + one for one in told] == wanted


def test_a_data_set_is_measured_as_the_text_it_was_made_of(fixtures, plugins):
    folder = fixtures / "mypt" / "datasets" / "dante_char"
    held_out = text_of_data_set(str(folder), plugins)
    assert held_out.source.endswith("val")
    ids = np.concatenate([np.fromfile(f, "<u4") for f in sorted((folder / "val").glob("*.bin"))])
    assert len(held_out.text) == len(ids)
    sides = open_sides([str(fixtures / "mypt" / "modern_char")] * 2, plugins)
    scores = [result.score for result in results(sides, plugins, held_out=held_out)]
    assert scores[0] == scores[1]
    assert len(scores[0].losses) == len(ids) - 1
