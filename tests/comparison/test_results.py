import math

import numpy as np
import pytest
import torch

import mypt
from mypt.comparison.results import HeldOut, text_of_data_set, try_models
from mypt.comparison.settings import open_sides
from mypt.format.errors import ConfigError, DataError
from mypt.model.decoding.sampling_options import Sampling


def results(sides, plugins, **wanted):
    given = {"held_out": None, "prompt": None, "max_new_tokens": 12, "sampling": Sampling(seed=1)}
    return list(try_models(sides, plugins, torch.device("cpu"), **{**given, **wanted}))


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


def test_what_ends_a_document_of_a_data_set_is_a_token_to_who_has_it(cli, in_tmp, plugins, model):
    lines = "".join(f'{{"text": "line {n} of {n}"}}\n' for n in range(40))
    (in_tmp / "docs.jsonl").write_text(lines)
    prepare = ("data", "prepare", "docs.jsonl", "--output", "docs", "--tokenization", "gpt2")
    code, _, err = cli(*prepare, "--workers", "1")
    assert code == 0, err
    (ids,) = (np.fromfile(file, "<u2") for file in (in_tmp / "docs" / "val").glob("*.bin"))
    assert 50256 in ids
    name = model("wide", "gpt2")
    held_out = text_of_data_set("docs", plugins)
    (result,) = results(open_sides([name], plugins), plugins, held_out=held_out)
    assert result.score.ids == (*ids.tolist(),)
