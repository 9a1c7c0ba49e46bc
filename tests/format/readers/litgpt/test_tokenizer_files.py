import shutil

import pytest

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
