import json
import struct

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.tokenizers import llama2c_vocabulary
from mypt.format.readers.tokenizers.llama2c_vocabulary import read_llama2c_vocabulary
from mypt.format.readers.tokenizers.sentencepiece import make_sentencepiece
from mypt.format.readers.tokenizers.sentencepiece_file import read_sentencepiece
from tests.support.paths import FIXTURES

tokenizers = pytest.importorskip("tokenizers")
FOLDER = FIXTURES / "neighbours" / "llama2c_mha"


@pytest.fixture
def folder():
    if not FOLDER.is_dir():
        pytest.skip("the checkpoints of neighbours are not beside this checkout")
    return FOLDER


def test_its_ids_are_those_of_the_program(folder):
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    held = read_llama2c_vocabulary(folder / "tok512.bin", "tok512.bin")
    document = make_sentencepiece(held, "tok512.bin", finds_marks=False, add_bos=True)
    made = tokenizers.Tokenizer.from_str(json.dumps(document))
    assert made.encode(expected["prompt_text"]).ids == expected["prompt_ids"]
    assert made.decode(expected["text_ids"]) == expected["prompt_text"]


def test_it_holds_what_the_model_of_sentencepiece_holds(folder):
    held = read_llama2c_vocabulary(folder / "tok512.bin", "tok512.bin")
    real = read_sentencepiece(folder / "tok512.model", "tok512.model")
    for name in ("pieces", "scores", "types", "unk", "bos", "eos"):
        assert tuple_of(getattr(held, name)) == tuple_of(getattr(real, name)), name


def tuple_of(value):
    return value if isinstance(value, int) else tuple(value)


def pack(*tokens, longest=8):
    parts = [struct.pack("<fi", score, len(text)) + text for score, text in tokens]
    return struct.pack("<i", longest) + b"".join(parts)


MARKS = [(0.0, b"<unk>"), (0.0, b"\n<s>\n"), (0.0, b"\n</s>\n")]


def test_marks_have_the_names_of_sentencepiece(write):
    held = read_llama2c_vocabulary(write(pack(*MARKS, (-1.0, b" a"))), "t")
    assert list(held.pieces) == ["<unk>", "<s>", "</s>", "\u2581a"]
    assert list(held.types) == [2, 3, 3, 1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "holds 0 tokens"),
        (pack(*MARKS[:2]), "holds 2 tokens"),
        (pack(*MARKS)[:-1], "no whole token at byte"),
        (pack(*MARKS) + b"\0" * 5, "no whole token at byte"),
        (pack(*MARKS, longest=5), "no whole token at byte"),
        (pack(*MARKS, (0.0, b"\xff")), "not UTF-8"),
        (pack(*MARKS)[:8] + b"\xff\xff\xff\xff", "no whole token at byte"),
    ],
)
def test_damage_is_refused(data, reason, write):
    with pytest.raises(FormatError, match=reason):
        read_llama2c_vocabulary(write(data), "t")


def test_a_file_that_is_too_large_is_refused(write, monkeypatch):
    monkeypatch.setattr(llama2c_vocabulary, "MAX_BYTES", 10)
    with pytest.raises(FormatError, match="is larger than 10 bytes"):
        read_llama2c_vocabulary(write(pack(*MARKS)), "t")
