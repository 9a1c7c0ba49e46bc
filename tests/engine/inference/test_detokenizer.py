import pytest

from mypt.engine.inference.detokenizer import Detokenizer


class Bytes:
    """A tokenizer whose ids are bytes."""

    def decode_bytes(self, ids):
        return bytes(ids)


def pieces(text, *stop):
    stream = Detokenizer(Bytes(), stop)
    shown = []
    for token in text.encode():
        shown.append(stream.feed(token))
        if stream.stopped_by is not None:
            break
    return [*shown, stream.finish()], stream.stopped_by


def test_text_is_shown_as_soon_as_it_is_whole_characters():
    shown, stopped_by = pieces("aé€😀b")
    assert shown == ["a", "", "é", "", "", "€", "", "", "", "😀", "b", ""]
    assert stopped_by is None


def test_bytes_that_are_no_text_become_replacement_characters():
    stream = Detokenizer(Bytes())
    assert [stream.feed(byte) for byte in b"\xe2A\xf0"] == ["", "\ufffdA", ""]
    assert stream.finish() == "\ufffd"


def test_what_may_begin_a_stop_string_is_held_back():
    shown, stopped_by = pieces("one STOx STOP two", "STOP")
    assert shown == ["o", "n", "e", " ", "", "", "", "STOx", " ", "", "", "", "", ""]
    assert stopped_by == "STOP"
    assert pieces("one STO", "STOP") == (["o", "n", "e", " ", "", "", "", "STO"], None)


@pytest.mark.parametrize(
    ("text", "stop", "shown", "stopped_by"),
    [
        ("aabaac", ["aac"], "aab", "aac"),
        ("xéy", ["é"], "x", "é"),
        ("abcabd", ["abd", "bca"], "a", "bca"),
        ("ab", ["b", "ab"], "", "ab"),
        ("STOP", ["STOP"], "", "STOP"),
        ("aaa", ["aaaa"], "aaa", None),
    ],
)
def test_the_text_ends_before_the_stop_string_that_comes_first(text, stop, shown, stopped_by):
    assert ("".join(pieces(text, *stop)[0]), pieces(text, *stop)[1]) == (shown, stopped_by)


def test_a_stop_string_inside_a_token_ends_the_text_there():
    class Words:
        def decode_bytes(self, ids):
            return b"".join([b"one END two", b"!"][i] for i in ids)

    stream = Detokenizer(Words(), ["END"])
    assert stream.feed(0) == "one "
    assert stream.stopped_by == "END"
    assert stream.feed(1) == ""
    assert stream.finish() == ""
