import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mypt.format.errors import FormatError
from mypt.tokenizers.char import CharTokenizer
from mypt.tokenizers.gpt2 import Gpt2Tokenizer
from mypt.tokenizers.hugging_face_files import char_documents, find_merges, gpt2_documents

SPECIAL = {"<|endoftext|>": 50256, "<a>": 50257, "<a><b>": 50300, "<b c>": 50290, "<é b>": 50301}
SAMPLES = [
    "",
    " ",
    "\r\n\t a\n\n  b  ",
    "Hello  world! don't I'M we'll 12345 café 你好 \U0001f30d\u0301 <|endoftext|>",
    "x<a> <a><b><b c>y<a",
    "\x85\xa0\u2003\u3000 z",
]


def load(documents):
    tokenizers = pytest.importorskip("tokenizers")
    return tokenizers.Tokenizer.from_str(json.dumps(documents["tokenizer"]))


def ensure_equal(theirs, ours, text):
    ids = ours.encode(text)
    assert theirs.encode(text, add_special_tokens=False).ids == ids
    assert theirs.decode(ids, skip_special_tokens=False) == ours.decode(ids)


@pytest.fixture(scope="module", params=[{}, {"<|endoftext|>": 50256}, SPECIAL])
def gpt2(request):
    ours = Gpt2Tokenizer(request.param)
    return load(ours.to_hugging_face()), ours


def test_gpt2s_byte_pairs_give_the_same_ids_and_texts(gpt2):
    for text in SAMPLES:
        ensure_equal(*gpt2, text)
    theirs, ours = gpt2
    ids = [0, 199, 50255, 50256, *ours.special_token_encoder.values()]
    assert [theirs.decode([n], skip_special_tokens=False) for n in ids] == [
        ours.decode([n]) for n in ids
    ]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_has_the_same_ids(gpt2, text):
    ensure_equal(*gpt2, text)


@given(text=st.text(" \n\tab1'.,sé", max_size=60))
def test_any_white_space_has_the_same_ids(gpt2, text):
    ensure_equal(*gpt2, text)


def test_characters_give_the_same_ids_and_texts():
    text = "".join(SAMPLES) + "\0\x1f\u2028\ufeff"
    ours = CharTokenizer.train(text)
    theirs = load(ours.to_hugging_face())
    for sample in (*SAMPLES, text, *ours.chars):
        ensure_equal(theirs, ours, sample)
    with pytest.raises(Exception, match="UNK"):
        theirs.encode("Ω")


def test_the_merges_of_a_vocabulary_are_found_from_its_ranks():
    ranks = {bytes([byte]): byte for byte in range(256)}
    ranks |= {b"ab": 256, b"bc": 257, b"abc": 258, b"abcabc": 259}
    assert find_merges(ranks) == [(b"a", b"b"), (b"b", b"c"), (b"ab", b"c"), (b"abc", b"abc")]


def test_what_tokenizers_cannot_do_is_refused():
    ranks = {b"a": 0, "é".encode(): 1}
    for special, said in (
        ({"a": 5}, "'a' is also an ordinary token"),
        ({"é": 5}, "'é' would be decoded as the spelling of bytes"),
        ({"\ud800": 5}, "cannot be encoded"),
    ):
        with pytest.raises(FormatError, match=said):
            gpt2_documents(ranks, special)
    with pytest.raises(FormatError, match=r"U\+D800 cannot be encoded"):
        char_documents("a\ud800")
