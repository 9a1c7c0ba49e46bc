"""The spelling of tokens in vocabularies of RWKV's kind, which llama.cpp matches as they are.

It takes the longest token that a text goes on with. Where each token is a character, these are the
characters of the text, whichever they are; no other kind of vocabulary leaves them apart and needs
no token for the end of a text.

Source: `llama_unescape_rwkv_token` in `src/llama-vocab.cpp` of the llama.cpp repository.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
_PLAIN = range(0x21, 0x7F)


def escape(token: str) -> str:
    """Return a token as it is written in a file."""
    return "".join(
        chr(byte) if byte in _PLAIN and byte != ord("\\") else f"\\x{byte:02x}"
        for byte in token.encode()
    )


def unescape(written: str) -> str:
    """Return the token that is written so; bytes that are no UTF-8 become U+FFFD."""
    return _ESCAPED.sub(_replace, written.encode()).decode("utf-8", "replace")


def _replace(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if len(code) == 3:
        return bytes.fromhex(code[1:].decode())
    return _NAMED.get(code, code)
