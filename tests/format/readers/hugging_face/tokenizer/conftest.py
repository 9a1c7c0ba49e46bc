import json
import random
import warnings

import pytest

from mypt.format.readers.hugging_face.tokenizer.folder import read_tokenizer
from tests.support.paths import ROOT

TEXTS = [
    "",
    "   ",
    "the cat",
    " the  cat",
    "a</s>b",
    "<s>the",
    "a\n",
    "[PAD]x",
    "x <mask> y",
    "<|im_start|>user\nhi<|im_end|>",
    "123 4567",
    "I'M don't",
    "e\u0301 é",
    "<|endoftext|>a",
    "hi\n\n\n  there",
    "<extra> z",
    "你好🌍 \t\t x",
    "Hello , world ! it 's .",
]
ALPHABET = [*"abcdehlotr  \n\t.,0123é你①🌍▁", "\u0301", "<s>", "</s>", "<mask>", "the ", "don't"]


@pytest.fixture(scope="session")
def texts():
    chosen = random.Random(1)
    return TEXTS + ["".join(chosen.choices(ALPHABET, k=chosen.randint(1, 20))) for _ in range(100)]


@pytest.fixture(scope="session")
def lines():
    text = (ROOT / "README.md").read_text("utf-8") + "\ncafé naïve 你好 世界 the cat don't\n" * 20
    return text.split("\n")


@pytest.fixture(scope="session")
def byte_level(lines):
    """The vocabulary and the merges of a byte-level encoding of 400 tokens."""
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=alphabet,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    made.train_from_iterator(lines, trainer)
    model = json.loads(made.to_str())["model"]
    return model["vocab"], model["merges"]


@pytest.fixture
def fill(tmp_path):
    """Return a function that writes the files of a folder."""

    def fill(model_type, files, config=None):
        documents = {"config.json": {"model_type": model_type}, **files}
        if config is not None:
            documents["tokenizer_config.json"] = config
        for name, held in documents.items():
            data = held if isinstance(held, str | bytes) else json.dumps(held)
            (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return tmp_path

    return fill


@pytest.fixture
def slow(byte_level):
    vocab, merges = byte_level
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges), ""]
    return {"vocab.json": vocab, "merges.txt": "\n".join(lines)}


@pytest.fixture
def compare(transformers, plugins, texts):
    """Return a function that compares a folder's tokenizer with the real one, and returns mypt's.

    Compared are the ids and the texts, and what the program puts around a text.
    """

    def compare(folder):
        model_type = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            real = transformers.AutoTokenizer.from_pretrained(folder)
        held = read_tokenizer(folder, {"model_type": model_type}, 1000, [])
        made = plugins.tokenizers[held["token_kind"]].build(held)
        for text in texts:
            ids = real.encode(text, add_special_tokens=False)
            assert made.encode(text) == ids, repr(text)
            assert made.decode(ids) == real.decode(ids), repr(text)
        special = held["special_tokens"]
        for role in ("pad", "unk"):
            assert special.get(role) == getattr(real, f"{role}_token_id")
        for role in ("bos", "eos"):
            found = getattr(real, f"{role}_token_id")
            assert special.get(role, []) == ([] if found is None else [found])
        begins = real.encode("a")[:1] == [real.bos_token_id]
        assert held["add_bos"] == begins
        return held

    return compare
