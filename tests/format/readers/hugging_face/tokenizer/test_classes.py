import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.tokenizer.classes import (
    BACKEND,
    NFC,
    find_class,
    keeps_words,
)
from mypt.format.readers.tokenizers.byte_bpe import make_byte_bpe
from mypt.format.readers.tokenizers.words import QWEN2, make_split


@pytest.mark.parametrize(
    ("model_type", "named", "found"),
    [
        ("gpt2", None, "GPT2Tokenizer"),
        ("llama", None, BACKEND),
        ("llama", "LlamaTokenizerFast", "LlamaTokenizer"),
        ("mistral", "LlamaTokenizer", BACKEND),
        ("stablelm", "GPTNeoXTokenizerFast", "GPTNeoXTokenizer"),
        ("phi", "CodeGenTokenizer", "CodeGenTokenizer"),
        ("qwen2", "LlamaTokenizer", "Qwen2Tokenizer"),
        ("qwen3", None, "Qwen2Tokenizer"),
        ("gemma3_text", "GemmaTokenizer", "GemmaTokenizer"),
    ],
)
def test_the_class_is_that_of_transformers(model_type, named, found):
    assert find_class({"tokenizer_class": named}, {"model_type": model_type}, "f") == found


def test_only_words_of_its_own_are_kept_for_a_model_whose_folders_name_wrong_classes():
    gpt2 = make_byte_bpe({"a": 0}, [])
    qwen2 = make_byte_bpe({"a": 0}, [], words=[make_split(QWEN2)], normalizer=NFC)
    assert keeps_words("qwen3", gpt2)
    assert keeps_words("qwen2", qwen2)
    assert not keeps_words("qwen2", gpt2)
    assert not keeps_words("qwen2", {**qwen2, "normalizer": None})
    assert not keeps_words("qwen2", {**gpt2, "model": {"type": "WordLevel", "vocab": {"a": 0}}})


def test_the_class_of_the_model_stands_for_one_of_the_tokenizer():
    hf_config = {"model_type": "llama", "tokenizer_class": "GPT2Tokenizer"}
    assert find_class({}, hf_config, "f") == "GPT2Tokenizer"


@pytest.mark.parametrize("codes", [["a.B", None], {"AutoTokenizer": ["a.B", None]}])
def test_code_of_its_own_is_refused(codes):
    with pytest.raises(FormatError, match=r"#/auto_map: names code of its own.*tokenizer=none"):
        find_class({"auto_map": codes}, {"model_type": "gpt2"}, "f")


def test_code_for_other_things_is_none_of_the_tokenizer():
    assert find_class({"auto_map": {"AutoProcessor": "a.B"}}, {"model_type": "gpt2"}, "f")
