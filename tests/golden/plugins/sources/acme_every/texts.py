"""Tokenizers: one that learns words, one of bytes."""

import re
from collections import Counter

import numpy as np

PACKAGE = "acme-every"
LEARNT = {
    "type": "object",
    "required": ["words"],
    "properties": {"words": {"type": "array", "items": {"type": "string"}}},
}
TRAINING = {
    "type": "object",
    "properties": {"n_words": {"type": "integer", "minimum": 1, "default": 100}},
    "additionalProperties": False,
}
WORD = re.compile(r"[a-z]+|\W|\w")


class Words:
    """The most frequent words of a text; id 0 is any other."""

    token_kind = "acme_words"

    def __init__(self, words):
        self.words = ["\ufffd", *words]
        self.ids = {word: number for number, word in enumerate(self.words)}
        self.n_vocab = self.vocab_size = len(self.words)

    def encode(self, text):
        return [self.ids.get(word, 0) for word in WORD.findall(text)]

    def encode_array(self, text):
        return np.array(self.encode(text), np.uint32)

    def encode_ordinary(self, text):
        return self.encode_array(text)

    def cut(self, text, start):
        """Return where a line ends: no word goes on after that."""
        found = text.find("\n", start)
        return None if found < 0 or found + 1 >= len(text) else found + 1

    def decode(self, ids):
        return "".join(self.words[i] if i < self.n_vocab else "\ufffd" for i in ids)

    def decode_bytes(self, ids):
        return self.decode(ids).encode(errors="replace")

    def state(self):
        return {"token_kind": "acme_words", "plugins": {PACKAGE: {"words": self.words[1:]}}}

    def to_hugging_face(self):
        """Return the document of `tokenizers` for the same words."""
        model = {"type": "WordLevel", "vocab": self.ids, "unk_token": "\ufffd"}
        split = {
            "type": "Split",
            "pattern": {"Regex": r"[a-z]+|\W|\w"},
            "behavior": "Isolated",
            "invert": False,
        }
        document = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": split,
            "post_processor": None,
            "decoder": {"type": "Fuse"},
            "model": model,
        }
        return {"tokenizer": document}


def build(state):
    """Build it from the fields of `tokenizer.json`."""
    return Words(state["plugins"][PACKAGE]["words"])


def choose(counted, options):
    """Return the words in the order of their number, then of the alphabet."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return Words([word for word, _ in ordered[: options.get("n_words", 100)]])


def train(text, options):
    """Learn the words of a text."""
    return choose(Counter(WORD.findall(text)), options)


def train_pieces(pieces, options):
    """Learn the words of a text in pieces, whatever they are cut in."""
    counted, rest = Counter(), ""
    for piece in pieces:
        *found, rest = WORD.findall(rest + piece) or [""]
        counted.update(found)
    counted.update(WORD.findall(rest))
    return choose(counted, options)


class Bytes:
    """UTF-8."""

    token_kind = "acme_bytes"
    n_vocab = vocab_size = 256

    def encode(self, text):
        return self.encode_array(text).tolist()

    def encode_array(self, text):
        return np.frombuffer(text.encode(errors="replace"), np.uint8).astype(np.uint32)

    def decode(self, ids):
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids):
        return b"".join(bytes([i]) if i < 256 else "\ufffd".encode() for i in ids)

    def state(self):
        return {"token_kind": "acme_bytes"}
