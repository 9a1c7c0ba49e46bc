import shutil

import pytest

import mypt
from mypt.format.open import open_checkpoint
from tests.support.litgpt_models import CASES, make_tensors, write_folder
from tests.support.paths import FIXTURES

TOKENIZER = FIXTURES / "neighbours" / "litgpt_llama" / "tokenizer.json"


@pytest.mark.skipif(not TOKENIZER.is_file(), reason="no checkpoints of neighbours beside this")
@pytest.mark.parametrize(
    ("folder", "config", "adds"),
    [
        ("tiny", '{"tokenizer_class": "PreTrainedTokenizerFast"}', False),
        ("tiny", '{"tokenizer_class": "LlamaTokenizer"}', True),
        ("tiny", '{"tokenizer_class": "LlamaTokenizer", "add_bos_token": false}', False),
        ("tiny", '{"add_bos_token": true}', True),
        ("Llama-3.2-1B", '{"tokenizer_class": "PreTrainedTokenizerFast"}', True),
        ("SmolLM2-135M-Instruct", '{"tokenizer_class": "GPT2Tokenizer"}', True),
        ("Llama-3.2-1B", None, False),
    ],
)
def test_the_token_before_a_text_is_as_in_litgpt(tmp_path, plugins, folder, config, adds):
    sizes = {"padded_vocab_size": 400, "vocab_size": 384}
    case = CASES["llama"] | sizes
    path = write_folder(tmp_path / folder, case, make_tensors(case))
    shutil.copyfile(TOKENIZER, path / "tokenizer.json")
    if config is not None:
        text = config.replace("{", '{"bos_token": "<|endoftext|>", ')
        (path / "tokenizer_config.json").write_text(text)
    rules = open_checkpoint(path, plugins).tokenizer
    assert rules.add_bos == adds
    if adds:
        assert rules.special_tokens.bos == (0,)


MODEL = FIXTURES / "neighbours" / "llama2c_mha" / "tok512.model"


@pytest.mark.skipif(not MODEL.is_file(), reason="no checkpoints of neighbours beside this")
@pytest.mark.parametrize("adds", [True, False])
def test_a_vocabulary_of_sentencepiece_counts_where_there_is_no_other(tmp_path, plugins, adds):
    case = CASES["llama"] | {"padded_vocab_size": 512, "vocab_size": 512}
    path = write_folder(tmp_path / "m", case, make_tensors(case))
    shutil.copyfile(MODEL, path / "tokenizer.model")
    if adds:
        (path / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    opened = open_checkpoint(path, plugins)
    rules = opened.tokenizer
    assert (rules.add_bos, rules.special_tokens.bos, rules.special_tokens.eos) == (adds, (1,), (2,))
    ids = mypt.load(path, plugins=plugins).tokenizer.encode("Once upon a time")
    assert ids[:4] == [415, 470, 421, 324]
    if not adds:
        shutil.copyfile(TOKENIZER, path / "tokenizer.json")
        assert mypt.load(path, plugins=plugins).tokenizer.encode("Once")[0] != 415
