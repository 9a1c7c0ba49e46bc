import random

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.tokenizers import sentencepiece_file
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece
from tests.support.paths import FIXTURES

pytest.importorskip("sentencepiece")
from sentencepiece.sentencepiece_model_pb2 import ModelProto


def test_every_field_is_that_of_the_file(train, write):
    data = train("unigram", byte_fallback=True, pad_id=3, add_dummy_prefix=False)
    model = ModelProto.FromString(data)
    held = read_sentencepiece(write(data), "m")
    assert list(held.pieces) == [piece.piece for piece in model.pieces]
    assert list(held.scores) == [piece.score for piece in model.pieces]
    assert list(held.types) == [piece.type for piece in model.pieces]
    assert (held.unk, held.bos, held.eos, held.pad) == (0, 1, 2, 3)
    assert held.kind == "unigram"
    assert held.byte_fallback
    assert not held.add_dummy_prefix
    assert held.remove_extra_whitespaces
    assert held.escape_whitespaces
    assert held.normalizer == "nmt_nfkc"
    assert held.charsmap == model.normalizer_spec.precompiled_charsmap != b""


@pytest.mark.parametrize(
    ("spec", "field", "value", "reason"),
    [
        ("trainer_spec", "treat_whitespace_as_suffix", True, "a space at the end of a word"),
        ("denormalizer_spec", "precompiled_charsmap", b"abc", "characters of decoded texts"),
    ],
)
def test_what_mypt_does_not_do_is_refused(spec, field, value, reason, train, write):
    model = ModelProto.FromString(train("bpe"))
    setattr(getattr(model, spec), field, value)
    with pytest.raises(FormatError, match=f"{reason}.*tokenizer=none"):
        read_sentencepiece(write(model.SerializeToString()), "m")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "holds no pieces"),
        (b"\x0a\x00" * (2**20 + 1), "holds more than 1048576 pieces"),
        (b"\xff" * 12, "a number that does not end"),
        (b"\x08\x01", "a number in the place of bytes"),
        (b"\x0a\x03\x0a\x01\xff", "no model of sentencepiece"),
        (b"\x0a\x02\x10\x01", "something else in the place of a float"),
        (b"\x0a\x02\x1a\x00", "bytes in the place of a number"),
        (b"\x0a\x03\x0a\x01a\x12\x02\x18\x09", "of a type that mypt does not know"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_no_model_is_refused(data, reason, write):
    with pytest.raises(FormatError, match=reason):
        read_sentencepiece(write(data), "m")


def test_a_file_that_is_too_large_is_refused(write, monkeypatch):
    monkeypatch.setattr(sentencepiece_file, "MAX_BYTES", 10)
    with pytest.raises(FormatError, match="is larger than 10 bytes"):
        read_sentencepiece(write(b"\x0a\x03\x0a\x01a" * 3), "m")


def test_damage_raises_nothing_else(train, write):
    data, chosen = train("bpe"), random.Random(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data[: chosen.randrange(len(data))])
        for _ in range(3):
            damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
        try:
            read_sentencepiece(write(damaged), "m")
        except FormatError:
            refused += 1
    assert refused > 20


def test_the_model_of_llama2c_is_read():
    path = FIXTURES / "neighbours" / "llama2c_mha" / "tok512.model"
    if not path.is_file():
        pytest.skip("the checkpoints of neighbours are not beside this checkout")
    held = read_sentencepiece(path, "m")
    assert len(held.pieces) == 512
    assert (held.kind, held.byte_fallback, held.bos, held.eos) == ("bpe", True, 1, 2)
