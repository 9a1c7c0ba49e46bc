"""The kit finds nothing wrong with mypt's own tokenizers, and what is wrong with others."""

import itertools

import numpy as np
import pytest

import mypt.tokenizers.plugin
from mypt.plugins import ConfigError, DataError, TokenizerFactory
from mypt.testing import ContractError, check_tokenizer, measure_tokenizer


@pytest.mark.parametrize(
    "factory", mypt.tokenizers.plugin.mypt_tokenizers(), ids=lambda f: f.token_kind
)
def test_nothing_is_wrong_with_what_comes_with_mypt(factory, text):
    check_tokenizer(factory)
    check_tokenizer(factory, text)


class Bytes:
    """The example of the reference of hooks."""

    token_kind = "bytes"
    n_vocab = vocab_size = 256

    def encode(self, text):
        return list(text.encode("utf-8", "replace"))

    def encode_array(self, text):
        return np.array(self.encode(text), np.uint32)

    def decode(self, ids):
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids):
        return b"".join(bytes([i]) if i < 256 else "\ufffd".encode() for i in map(int, ids))

    def state(self):
        return {"token_kind": "bytes"}


def offered(cls, **others):
    return TokenizerFactory("bytes", build=lambda _: cls(), **{"train": lambda _: cls(), **others})


def test_a_tokenizer_that_is_right_passes():
    assert check_tokenizer(offered(Bytes)).n_vocab == 256


def changed(**members):
    return type("Odd", (Bytes,), members)


COUNT = itertools.count()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"token_kind": "octets"}, "its token_kind is 'octets'"),
        ({"vocab_size": 255}, "vocab_size is 255"),
        ({"n_vocab": 0}, "n_vocab is 0"),
        ({"n_vocab": 100}, "of 100 ids"),
        ({"encode": lambda self, text: text.encode()}, "does not return a list of integers"),
        ({"encode_array": lambda self, text: np.array(self.encode(text))}, "uint32"),
        ({"encode_array": lambda self, text: np.zeros(3, np.uint32)}, "other ids than encode"),
        ({"decode": lambda self, ids: Bytes.decode(self, ids).strip()}, "is decoded to"),
        ({"decode_bytes": lambda self, ids: b""}, "is decoded to"),
        (
            {"decode": lambda self, ids: bytes(map(int, ids)).decode(errors="replace")},
            "an id without text, raises ValueError",
        ),
        ({"state": lambda self: {"token_kind": "bytes", "plugins": {"a": {1}}}}, "as JSON"),
        ({"state": lambda self: {}}, "the token_kind of its state is None"),
        (
            {"state": lambda self: {"token_kind": "bytes", "plugins": []}},
            "its state is not a valid tokenizer.json",
        ),
        (
            {"state": lambda self: {"token_kind": "bytes", "extra": next(COUNT)}},
            "two different states",
        ),
        ({"cut": lambda self, text, start: start - 1}, "which is not within"),
    ],
)
def test_a_wrong_tokenizer_is_told_what_it_does_wrong(members, message):
    with pytest.raises(ContractError, match=message):
        check_tokenizer(offered(changed(**members)))


def array(*ids):
    return lambda self, text: np.array(ids or self.encode(text), np.uint32)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"encode_ordinary": array()}, None),
        ({"encode_ordinary": lambda self, text: [1]}, "does not return an array"),
        ({"encode_ordinary": array(255)}, "returns the special token"),
        ({"encode_ordinary": array(65)}, "is decoded to 'A' after encode_ordinary"),
    ],
)
def test_what_is_encoded_as_ordinary_text_holds_no_special_token(members, message):
    def decode_bytes(self, ids):
        own = Bytes().decode_bytes
        return b"".join(b"<|end|>" if number == 255 else own([number]) for number in ids)

    state = {"token_kind": "bytes", "special_tokens": {"eos": [255]}}
    factory = offered(changed(decode_bytes=decode_bytes, state=lambda self: state, **members))
    if message is None:
        check_tokenizer(factory)
    else:
        with pytest.raises(ContractError, match=message):
            check_tokenizer(factory)


def test_an_unknown_character_must_be_a_data_error():
    class Picky(Bytes):
        error = KeyError

        def encode(self, text):
            if "Ω" in text:
                raise self.error("Ω")
            return super().encode(text)

    with pytest.raises(ContractError, match="raises KeyError, not a DataError"):
        check_tokenizer(offered(Picky))
    Picky.error = DataError
    check_tokenizer(offered(Picky))


def test_bytes_that_differ_one_at_a_time_are_found():
    class Joins(Bytes):
        def decode_bytes(self, ids):
            ids = [*ids]
            return super().decode_bytes(ids) if len(ids) != 1 else b" "

    with pytest.raises(ContractError, match="one at a time"):
        check_tokenizer(offered(Joins))


def test_a_cut_within_a_token_is_found():
    class Pairs(Bytes):
        n_vocab = vocab_size = 512

        def encode(self, text):
            held = text.replace("sa", "\x00").encode("utf-8", "replace")
            return [number or 256 for number in held]

        def decode_bytes(self, ids):
            return b"".join(b"sa" if i == 256 else Bytes.decode_bytes(self, [i]) for i in ids)

        def cut(self, text, start):
            return start

    with pytest.raises(ContractError, match="the text has other ids"):
        check_tokenizer(offered(Pairs))


def test_training_on_pieces_must_not_depend_on_the_pieces():
    class Known(Bytes):
        def __init__(self, words=()):
            self.words = sorted(words)

        def state(self):
            return {"token_kind": "bytes", "plugins": {"known": {"words": self.words}}}

    factory = TokenizerFactory(
        "bytes",
        build=lambda state: Known(state["plugins"]["known"]["words"]),
        train=lambda text: Known(set(text.split())),
        train_pieces=lambda pieces: Known({word for piece in pieces for word in piece.split()}),
    )
    with pytest.raises(ContractError, match="in pieces of 1 characters"):
        check_tokenizer(factory)


def test_what_is_built_from_the_state_must_be_the_same():
    class Shifts(Bytes):
        shift = 1

        def encode(self, text):
            return [(number + self.shift) % 256 for number in Bytes.encode(self, text)]

        def decode_bytes(self, ids):
            own = [i if i > 255 else (i - self.shift) % 256 for i in map(int, ids)]
            return Bytes.decode_bytes(self, own)

    other = type("Other", (Shifts,), {"shift": 2})
    with pytest.raises(ContractError, match="built from its state, it returns other ids"):
        check_tokenizer(offered(other, train=lambda _: Shifts()))


def test_options_of_the_training_are_held_against_their_schema():
    seen = []

    def train(text, options):
        seen.append(options)
        return Bytes()

    schema = {"properties": {"size": {"type": "integer"}}, "additionalProperties": False}
    factory = offered(Bytes, train=train, train_options=schema)
    check_tokenizer(factory, options={"size": 3})
    assert seen[0] == {"size": 3}
    with pytest.raises(ConfigError, match="size"):
        factory.trained_on(["text"], {"size": "three"})


def test_a_tokenizer_is_measured():
    speed = measure_tokenizer(Bytes(), "abcd" * 1000)
    assert speed.chars_per_token == 1.0
    assert speed.encoded_chars_per_sec > 0
    assert speed.growth > 0


def document_of(**fields):
    """A tokenizer.json whose ids are bytes of ASCII."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    model = {"type": "BPE", "vocab": vocab, "merges": [], "byte_fallback": True}
    decoders = [{"type": "ByteFallback"}, {"type": "Fuse"}]
    decoder = {"type": "Sequence", "decoders": decoders}
    return {"tokenizer": {"version": "1.0", "model": model, "decoder": decoder, **fields}}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        (document_of(), None),
        (document_of(normalizer={"type": "Lowercase"}), "exported, it returns other ids"),
        (document_of(decoder={"type": "Fuse"}), "exported, it decodes"),
        (document_of(model={"type": "X"}), "cannot be opened by tokenizers"),
        ({"tokenizer": {1}}, "what to_hugging_face returns cannot be written as JSON"),
    ],
)
def test_what_a_tokenizer_is_exported_as_is_compared(documents, message):
    pytest.importorskip("tokenizers")
    exported = changed(to_hugging_face=lambda self: documents)
    if message is None:
        check_tokenizer(offered(exported))
        return
    with pytest.raises(ContractError, match=message):
        check_tokenizer(offered(exported))
