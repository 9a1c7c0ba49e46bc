import json

import pytest

from mypt.format.readers.gguf.pre_tokenizers import PRE_TOKENIZERS
from mypt.format.readers.tokenizers.byte_bpe import make_byte_bpe


def test_one_that_splits_alike_is_written_by_its_first_name():
    first = {}
    for pre in PRE_TOKENIZERS.values():
        first.setdefault(json.dumps([pre.words, pre.ignore_merges]), pre.name)
    known = ["gpt-2", "llama-bpe", "dbrx", "qwen2", "starcoder", "falcon", "default"]
    assert list(first.values()) == known


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_its_steps_are_those_of_hugging_face(name):
    tokenizers = pytest.importorskip("tokenizers")
    made = make_byte_bpe({"a": 0}, [], words=PRE_TOKENIZERS[name].words)
    tokenizers.Tokenizer.from_str(json.dumps(made))
