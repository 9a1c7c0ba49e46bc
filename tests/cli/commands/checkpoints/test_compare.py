import json
import math
import re
import shutil

import pytest

import mypt
from mypt.plugins.manager import load_plugins


@pytest.fixture(scope="module")
def other(tmp_path_factory, text):
    """An untrained model of another shape, without training state."""
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(
        block_size=8, n_embd=16, n_head=2, n_layer=1, vocab_size=tokenizer.vocab_size
    )
    folder = tmp_path_factory.mktemp("other") / "dog"
    mypt.GPT(config, tokenizer).save(folder)
    return folder


@pytest.fixture
def sample(tmp_path, text):
    file = tmp_path / "sample.txt"
    file.write_text(text[:1000])
    return file


def test_settings_that_differ_are_listed_and_no_others(cli, bundle, other):
    code, out, _ = cli("compare", bundle, other)
    assert code == 0
    assert re.search(r"config\.n_layer +2 +1\b", out)
    assert "config.n_head " not in out
    assert "dog has no training state" in out
    assert "bits per byte" not in out


def test_a_digest_is_cut_to_what_tells_two_apart(cli, bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "cow")
    file = tmp_path / "cow" / "training_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    state["data"]["sha256"] = "0123456789abcdef" * 4
    file.write_text(json.dumps(state), encoding="utf-8")
    out = cli("compare", bundle, tmp_path / "cow")[1]
    assert re.search(r"training\.data_sha256 +[0-9a-f]{8} +01234567\b", out)
    assert "0123456789abcdef" * 4 in cli("compare", bundle, tmp_path / "cow", "--json")[1]


def test_equal_models_are_said_to_be_equal(cli, bundle):
    assert cli("compare", bundle, bundle)[1] == "All settings are equal.\n"


def test_the_lower_loss_is_marked(cli, bundle, other, sample):
    out = cli("compare", bundle, other, "--input_file", sample)[1]
    assert "(1,000 bytes)" in out
    assert re.search(r"cat +\d\.\d{4} \*", out)
    assert not re.search(r"dog +\d\.\d{4} \*", out)
    assert "tokenizers differ" not in out
    assert "The block sizes differ" in out


@pytest.fixture
def broken(tmp_path, text):
    """A model whose loss is not a number."""
    tokenizer = load_plugins().tokenizer("char").train(text)
    config = mypt.GPTConfig(
        block_size=8, n_embd=16, n_head=2, n_layer=1, vocab_size=tokenizer.vocab_size
    )
    model = mypt.GPT(config, tokenizer)
    model.lm_head.weight.data.fill_(math.nan)
    model.save(tmp_path / "broken")
    return tmp_path / "broken"


@pytest.mark.parametrize("order", [1, -1])
def test_a_loss_that_is_not_finite_takes_no_mark_away(cli, bundle, broken, sample, order):
    code, out, _ = cli("compare", *(bundle, broken)[::order], "--input_file", sample)
    assert code == 0
    assert re.search(r"cat +\d\.\d{4} \*", out)
    assert re.search(r"broken +nan  ", out)


def test_losses_of_which_none_is_finite_have_no_mark(cli, broken, sample):
    out = cli("compare", broken, broken, "--input_file", sample)[1]
    assert "nan *" not in out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--temperature", "0.5"), "--temperature needs --prompt"),
        (
            ("--input_file", "a", "--seed", "1", "--max_new_tokens", "9"),
            "--max_new_tokens and --seed need --prompt",
        ),
        (("--device", "cpu"), "--device needs --input_file, --dataset_dir or --prompt"),
    ],
)
def test_a_flag_without_effect_is_refused(refused, bundle, flags, said):
    line = refused("compare", bundle, bundle, *flags, code=2)
    assert line.startswith(f"error: {said}; see: ")


def test_different_tokenizers_are_compared_by_bits_per_byte(cli, bundle, fixtures, tmp_path):
    file = tmp_path / "t.txt"
    file.write_text("the cat sat on the mat")
    out = cli("compare", bundle, fixtures / "mypt" / "gpt2_special", "--input_file", file)[1]
    assert "compare bits per byte, not nats per token" in out


def test_continuations_stand_side_by_side(cli, bundle, other):
    words = ("compare", bundle, other, "--prompt", "line 1", "--max_new_tokens", 9, "--seed", 3)
    out = cli(*words)[1]
    table = out[out.index("Continuations") :]
    assert table.count("line 1") == 2
    assert cli(*words)[1] == out


def test_json_holds_everything(cli, bundle, other, sample):
    words = ("--input_file", sample, "--prompt", "the", "--max_new_tokens", 5, "--json")
    code, out, _ = cli("compare", bundle, other, *words)
    report = json.loads(out)
    assert code == 0
    assert [model["name"] for model in report["models"]] == ["cat", "dog"]
    assert report["models"][0]["settings"]["config.n_layer"] == 2
    assert report["differing"]["config.n_layer"] == [2, 1]
    assert report["differing"]["parameters"][0] > 0
    assert report["models"][0]["score"]["tokens"] == 999
    assert len(report["models"][0]["continuation"]) == 5
    assert report["held_out"]["size_bytes"] == 1000


def test_json_without_losses_has_the_settings(cli, bundle, other):
    report = json.loads(cli("compare", bundle, other, "--json")[1])
    assert report["held_out"] is None
    assert report["models"][0]["score"] is None


def test_one_model_is_no_comparison(refused, bundle):
    assert "at least two" in refused("compare", bundle, code=2)


def test_two_texts_are_refused(refused, bundle):
    line = refused("compare", bundle, bundle, "--input_file", "a", "--dataset_dir", "b", code=2)
    assert "cannot be used together" in line


def test_a_model_that_is_not_there_is_refused(refused, bundle):
    assert "no checkpoint `nobody`" in refused("compare", bundle, "nobody", code=2)


def test_a_character_that_a_vocabulary_lacks_names_the_model(refused, bundle, tmp_path):
    (tmp_path / "t.txt").write_text("the cat é")
    line = refused("compare", bundle, bundle.parent / "cat_gold", "--input_file", tmp_path / "none")
    assert "none: there is no such file" in line
    code_line = refused_lines(refused, bundle, tmp_path)
    assert "cat cannot read it" in code_line
    assert "é" in code_line


def refused_lines(refused, bundle, tmp_path):
    gpt2 = load_plugins().tokenizer("gpt2").train("x")
    config = mypt.GPTConfig(block_size=4, n_embd=2, n_head=1, n_layer=1, vocab_size=50304)
    mypt.GPT(config, gpt2).save(tmp_path / "reads_all")
    return refused("compare", bundle, tmp_path / "reads_all", "--input_file", tmp_path / "t.txt")


def test_neither_losses_nor_generations_need_torch(bundle, other):
    import subprocess
    import sys

    program = (
        "import sys\nfrom mypt.cli.main import mypt_group, run\n"
        f"code = run(mypt_group, 'mypt', ['compare', {str(bundle)!r}, {str(other)!r}])\n"
        "assert code == 0 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
