import json

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.hugging_face.tokenizer.byte_level import read_byte_level
from mypt.format.readers.hugging_face.tokenizer.classes import BYTE_LEVEL

TOKEN = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
OPT = {**TOKEN, "content": "</s>", "normalized": True}
CASES = {
    "gpt2": ("gpt2", {"tokenizer_class": "GPT2Tokenizer"}, {}),
    "gpt2, no class": ("gpt2", None, {}),
    "gpt2, begun": (
        "gpt_neo",
        {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "add_bos_token": True},
        {},
    ),
    "gpt2, old files": (
        "gptj",
        {"tokenizer_class": "GPT2Tokenizer"},
        {
            "special_tokens_map.json": {
                "bos_token": "<s>",
                "eos_token": {**TOKEN, "content": "</s>", "rstrip": True, "normalized": True},
                "pad_token": "[PAD]",
            },
            "added_tokens.json": {"[PAD]": 400, "<extra>": 401, "<s>": 402, "</s>": 403},
        },
    ),
    "gpt2, added tokens": (
        "gpt2",
        {
            "tokenizer_class": "GPT2Tokenizer",
            "added_tokens_decoder": {
                "0": {**TOKEN, "content": "<|endoftext|>", "normalized": True, "special": True},
                "400": {**TOKEN, "content": "<mask>", "lstrip": True, "special": True},
                "401": {**TOKEN, "content": "<extra>", "single_word": True, "special": False},
            },
            "mask_token": "<mask>",
            "pad_token": "[PAD]",
            "add_bos_token": True,
        },
        {},
    ),
    "opt": (
        "opt",
        {
            "tokenizer_class": "GPT2Tokenizer",
            "add_bos_token": True,
            "add_prefix_space": False,
            "unk_token": {"__type": "AddedToken", **OPT},
        },
        {"special_tokens_map.json": {"bos_token": OPT, "eos_token": OPT, "pad_token": "<pad>"}},
    ),
    "gpt-neox": ("gpt_neox", {"tokenizer_class": "GPTNeoXTokenizerFast"}, {}),
    "gpt-neox, ended": ("olmo", {"tokenizer_class": "GPTNeoXTokenizer", "add_eos_token": True}, {}),
    "codegen": ("phi", {"tokenizer_class": "CodeGenTokenizer"}, {}),
    "qwen2": (
        "qwen2",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "pad_token": "[PAD]",
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        },
        {},
    ),
    "qwen3, no class": ("qwen3", None, {}),
    "starcoder2": ("starcoder2", {"tokenizer_class": "GPT2Tokenizer"}, {}),
    "llama": ("llama", {"tokenizer_class": "GPT2Tokenizer"}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_ids_and_texts_are_those_of_transformers(name, fill, slow, compare):
    model_type, config, files = CASES[name]
    compare(fill(model_type, {**slow, **files}, config))


@pytest.mark.parametrize(
    ("merges", "reason"),
    [
        ("a b\na", "line 2 has no two tokens"),
        ("a b c", "line 1 has no two tokens"),
        ("#version: 0.2\nb a", "line 2 has no two tokens"),
        ("c c", "line 1 has no two tokens"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_merges_that_make_no_token_are_refused(merges, reason, fill):
    folder = fill("gpt2", {"vocab.json": {"a": 0, "b": 1, "ab": 2}, "merges.txt": merges})
    with pytest.raises(FormatError, match=rf"merges\.txt: .*{reason}"):
        read_byte_level(folder, BYTE_LEVEL["GPT2Tokenizer"], {})


def test_windows_line_ends_and_comments_are_skipped(fill):
    files = {"vocab.json": {"a": 0, "b": 1, "ab": 2}, "merges.txt": "#version: 0.2\r\na b\r\n"}
    made = read_byte_level(fill("gpt2", files), BYTE_LEVEL["GPT2Tokenizer"], {})
    assert made["model"]["merges"] == [["a", "b"]]


@pytest.mark.parametrize("vocab", [{}, {"a": "0"}, {"a": -1}, {"a": 0, "b": 0}, {"a": True}])
def test_a_vocabulary_that_is_none_is_refused(vocab, fill):
    folder = fill("gpt2", {"vocab.json": json.dumps(vocab), "merges.txt": ""})
    with pytest.raises(FormatError, match=r"vocab\.json.*tokenizer=none"):
        read_byte_level(folder, BYTE_LEVEL["GPT2Tokenizer"], {})
