import pytest

from mypt.format.readers.gguf import rwkv_text


@pytest.mark.parametrize("char", ["a", "\\", "\n", "\0", "\x7f", "é", "🙂", "'", '"'])
def test_escapes_are_undone(char):
    written = rwkv_text.escape(char)
    assert written.isprintable()
    assert rwkv_text.unescape(written) == char


def test_the_escapes_of_others_are_known():
    assert rwkv_text.unescape(r"\n\t\r\\\'x\x41") == "\n\t\r\\'xA"


def test_bytes_that_are_no_text_are_marked():
    assert rwkv_text.unescape(r"\xff") == "\ufffd"
