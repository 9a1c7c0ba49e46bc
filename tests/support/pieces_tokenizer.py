"""A vocabulary with what others have: pieces of words, bytes of characters, and an end token."""

from mypt.tokenizers.char import CharTokenizer

TEXT = "".join(map(chr, range(32, 127))) + "\né…"
PIECES = (
    *(b'{"', b'":', b"ab", b"bc", b"abc", b" the", b"true"),
    *(b"\xc3", b"\xa9", b"\xe2\x80", b"\xa6"),
)
END = b"<|end|>"


class PiecesTokenizer:
    """Characters, the above pieces, and last a token that ends a text; it encodes to characters."""

    token_kind = "pieces"

    def __init__(self):
        self._chars = CharTokenizer.train(TEXT)
        self._tokens = (*(char.encode() for char in self._chars.chars), *PIECES, END)
        self.n_vocab = self.vocab_size = len(self._tokens)
        self.end = self.n_vocab - 1
        self.encode, self.encode_array = self._chars.encode, self._chars.encode_array

    def id_of(self, token):
        return self._tokens.index(token)

    def decode_bytes(self, ids):
        return b"".join(self._tokens[number] for number in ids)

    def decode(self, ids):
        return self.decode_bytes(ids).decode(errors="replace")

    def state(self):
        return {"token_kind": self.token_kind, "special_tokens": {"eos": [self.end]}}
