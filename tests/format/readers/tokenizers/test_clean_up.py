import json

import pytest

from mypt.format.readers.tokenizers.clean_up import add_clean_up

tokenizers = pytest.importorskip("tokenizers")
WORDS = ["Hello", ",", "it", "'", "s", "n't", "."]


def make(**parts):
    model = {"type": "WordLevel", "vocab": {w: n for n, w in enumerate(WORDS)}, "unk_token": "."}
    return {"version": "1.0", "added_tokens": [], "decoder": None, **parts, "model": model}


@pytest.mark.parametrize("decoder", [None, {"type": "WordPiece", "prefix": "#", "cleanup": False}])
def test_spaces_before_punctuation_are_taken_out(decoder):
    made = tokenizers.Tokenizer.from_str(json.dumps(add_clean_up(make(decoder=decoder))))
    assert made.decode([*range(7)]) == "Hello, it'sn't."


def test_a_byte_pair_encoding_stays_as_it_is():
    document = {"model": {"type": "BPE"}, "decoder": None}
    assert add_clean_up(document) == document
