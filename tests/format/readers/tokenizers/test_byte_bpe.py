import json

import pytest

from mypt.format.readers.tokenizers.byte_bpe import make_byte_bpe
from mypt.format.readers.tokenizers.parts import make_added_token
from mypt.format.readers.tokenizers.words import DIGITS, LLAMA3, QWEN2, make_split

tokenizers = pytest.importorskip("tokenizers")
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

BYTES = pre_tokenizers.ByteLevel
WORDS = {
    "gpt2": ([], BYTES(add_prefix_space=False)),
    "prefix": ([], BYTES(add_prefix_space=True)),
    "digits": (
        [DIGITS],
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                BYTES(add_prefix_space=False, use_regex=False),
            ]
        ),
    ),
    **{
        name: (
            [make_split(pattern)],
            pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(pattern), "isolated"),
                    BYTES(add_prefix_space=False, use_regex=False),
                ]
            ),
        )
        for name, pattern in (("llama3", LLAMA3), ("qwen2", QWEN2))
    },
}


@pytest.mark.parametrize("name", WORDS)
def test_ids_and_texts_are_those_of_the_library(name, lines, texts):
    words, real_words = WORDS[name]
    real = Tokenizer(models.BPE())
    real.pre_tokenizer, real.decoder = real_words, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=BYTES.alphabet(),
        special_tokens=["<e>"],
        show_progress=False,
    )
    real.train_from_iterator(lines, trainer)
    held = json.loads(real.to_str())["model"]
    document = make_byte_bpe(
        held["vocab"],
        held["merges"],
        added_tokens=[make_added_token(0, "<e>", special=True)],
        words=words,
        add_prefix_space=name == "prefix",
        begin=[("<e>", 0)],
    )
    made = Tokenizer.from_str(json.dumps(document))
    for text in [*texts, "a<e>b"]:
        ids = real.encode(text).ids
        assert made.encode(text).ids == [0, *ids]
        assert made.encode(text, add_special_tokens=False).ids == ids
        assert made.decode(ids, skip_special_tokens=False) == real.decode(
            ids, skip_special_tokens=False
        )
