import json

import pytest
from attrs import evolve

from mypt.format.errors import FormatError
from mypt.format.readers.tokenizers.sentencepiece import (
    PieceType,
    SentencePieces,
    list_merges,
    make_sentencepiece,
)
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece

tokenizers = pytest.importorskip("tokenizers")
spm = pytest.importorskip("sentencepiece")

RAW = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
OPTIONS = {
    "default": {},
    "llama": {**RAW, "byte_fallback": True},
    "gemma": {
        **RAW,
        "byte_fallback": True,
        "add_dummy_prefix": False,
        "user_defined_symbols": ["<mask>", "\u2581\u2581", "\n\n"],
        "pad_id": 0,
        "eos_id": 1,
        "bos_id": 2,
        "unk_id": 3,
    },
    "own pieces": {**RAW, "user_defined_symbols": ["<sep>", "the", "3"]},
    "single spaces": {"normalization_rule_name": "identity"},
    "small letters": {"normalization_rule_name": "nmt_nfkc_cf", "byte_fallback": True},
    "no prefix": {"add_dummy_prefix": False},
    "no begin": {"bos_id": -1, "pad_id": 3},
}


def build(held, **options):
    document = make_sentencepiece(held, "m", **options)
    return tokenizers.Tokenizer.from_str(json.dumps(document))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", ["bpe", "unigram", "char"])
def test_ids_and_texts_are_those_of_sentencepiece(kind, name, train, write, texts):
    data = train(kind, **OPTIONS[name])
    real = spm.SentencePieceProcessor(model_proto=data)
    made = build(read_sentencepiece(write(data), "m"), finds_marks=False)
    own = {*OPTIONS[name].get("user_defined_symbols", ())} if kind != "unigram" else set()
    for text in texts:
        if text in own:
            continue  # a known limit: sentencepiece begins with a space here, too
        ids = real.encode(text)
        assert made.encode(text, add_special_tokens=False).ids == ids, repr(text)
        if real.unk_id() not in ids and not text.startswith("▁"):
            assert made.decode(ids, skip_special_tokens=False) == real.decode(ids), repr(text)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_marks_in_a_text_become_their_ids(kind, train, write):
    held = read_sentencepiece(write(train(kind, **RAW, byte_fallback=True)), "m")
    assert build(held).encode("a</s><s>").ids[-2:] == [held.eos, held.bos] == [2, 1]


def test_marks_are_text_to_sentencepiece(train, write):
    data = train("bpe", **RAW, byte_fallback=True)
    real, held = spm.SentencePieceProcessor(model_proto=data), read_sentencepiece(write(data), "m")
    ids = build(held, finds_marks=False).encode("a</s><0x41><unk>").ids
    assert ids == real.encode("a</s><0x41><unk>")
    assert held.eos not in ids


def test_what_begins_a_text_is_put_there_by_the_template(train, write):
    held = read_sentencepiece(write(train("bpe")), "m")
    made = build(held, add_bos=True)
    assert made.encode("a").ids[0] == held.bos
    assert made.encode("a", add_special_tokens=False).ids[0] != held.bos


SMALL = SentencePieces(
    pieces=["<unk>", "a", "b", "ab", "aba"], scores=[0, -3, -4, -1, -2], types=[2, 1, 1, 1, 1]
)


def test_the_highest_score_is_merged_first():
    assert list_merges(SMALL) == [["a", "b"], ["ab", "a"]]
    held = evolve(SMALL, scores=[0, -3, -4, -2, -1], pieces=["<unk>", "a", "b", "ab", "ba"])
    assert list_merges(held) == [["b", "a"], ["a", "b"]]


def test_marks_and_bytes_are_no_parts_of_merges():
    types = [PieceType.UNKNOWN, PieceType.NORMAL, PieceType.CONTROL, *[PieceType.NORMAL] * 2]
    assert list_merges(evolve(SMALL, types=types)) == [["ab", "a"]]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pieces": ["<unk>", "a", "a", "ab", "aba"]}, "two pieces of the same text"),
        ({"kind": "word"}, "type `word`"),
        ({"pieces": ["<unk>", "a", "b", "ab", "a" * 2**16]}, "longer pieces than any"),
        ({"unk": 5}, "no piece of the id 5"),
        ({"unk": -1}, "no piece of the id -1"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_way_out(changes, reason):
    with pytest.raises(FormatError, match=f"{reason}.*tokenizer=none"):
        make_sentencepiece(evolve(SMALL, **changes), "m")
