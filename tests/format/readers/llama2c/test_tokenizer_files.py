import shutil

import pytest

import mypt
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from tests.support.llama2c_models import make_tensors, write_bin
from tests.support.paths import FIXTURES

FOLDER = FIXTURES / "neighbours" / "llama2c_mha"
TEXT = "Once upon a time, there was 1 llama"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the checkpoints of neighbours are not beside this checkout"
)


@pytest.fixture
def model(tmp_path):
    return write_bin(tmp_path / "model.bin", make_tensors(vocab_size=512), 0, vocab_size=512)


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        ("tok512.model", "tok512.model"),
        ("tok512.model", "tokenizer.model"),
        ("tok512.bin", "tok512.bin"),
        ("tok512.bin", "tokenizer.bin"),
    ],
)
def test_the_vocabulary_beside_the_model_is_found(model, plugins, theirs, name):
    shutil.copyfile(FOLDER / theirs, model.with_name(name))
    info = mypt.get_model_info(model, plugins=plugins)
    assert f"the tokenizer is {name}" in info["notes"]
    rules = open_checkpoint(model, plugins).tokenizer
    assert rules.add_bos
    assert (rules.special_tokens.bos, rules.special_tokens.eos) == ((1,), (1,))
    ids = mypt.load(model, plugins=plugins).tokenizer.encode(TEXT)
    assert ids[:4] == [415, 470, 421, 324]


def test_one_of_another_size_is_passed_over(tmp_path, plugins):
    path = write_bin(tmp_path / "model.bin", make_tensors(), 0)
    shutil.copyfile(FOLDER / "tok512.bin", tmp_path / "tokenizer.bin")
    with pytest.raises(FormatError, match="has no vocabulary of 61 pieces beside it"):
        mypt.load(path, plugins=plugins)


def test_a_damaged_one_is_named_unless_a_better_one_is_there(model, plugins):
    data = (FOLDER / "tok512.bin").read_bytes()
    model.with_name("tokenizer.bin").write_bytes(data[: 4 + 13 + 13])
    with pytest.raises(FormatError, match="holds 2 tokens"):
        mypt.load(model, plugins=plugins)
    shutil.copyfile(FOLDER / "tok512.bin", model.with_name("tok512.bin"))
    assert mypt.load(model, plugins=plugins).tokenizer.n_vocab == 512


def test_a_missing_vocabulary_is_asked_for(model, plugins):
    said = r"has no vocabulary of 512 pieces beside it .*--option tokenizer=tokenizer.model, or"
    with pytest.raises(FormatError, match=said):
        mypt.load(model, plugins=plugins)
    for path in (FOLDER / "tok512.model", FOLDER / "tok512.bin"):
        options = {"tokenizer": str(path)}
        assert mypt.load(model, plugins=plugins, options=options).tokenizer.encode(TEXT)[0] == 415
    options = {"tokenizer": "none"}
    assert mypt.load(model, plugins=plugins, options=options).tokenizer is None
    options = {"tokenizer": "elsewhere.model"}
    with pytest.raises(FormatError, match=r"elsewhere.model: cannot be read: No such file"):
        mypt.load(model, plugins=plugins, options=options)


def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path, plugins):
    path = write_bin(tmp_path / "model.bin", make_tensors(), 0)
    options = {"tokenizer": str(FOLDER / "tok512.bin")}
    with pytest.raises(FormatError, match="has 512 pieces, but the model has 61 rows"):
        mypt.load(path, plugins=plugins, options=options)
