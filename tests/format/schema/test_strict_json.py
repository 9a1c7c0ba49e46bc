import json

import pytest

from mypt.format.errors import FormatError
from mypt.format.schema import strict_json

REFUSED = {
    "cut off": (b"{", "is not JSON: .* at line 1, column 2"),
    "empty": (b"", "is not JSON"),
    "a list": (b"[1]", "is not a JSON object"),
    "null": (b"null", "is not a JSON object"),
    "NaN": (b'{"a": NaN}', "contains NaN"),
    "infinity": (b'{"a": -Infinity}', "contains -Infinity"),
    "an infinite number": (b'{"a": 1e999}', "contains 1e999, which is too large"),
    "a number without end": (b'{"a": ' + b"9" * 5000 + b"}", "contains a number of 5000 digits"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "has the key 'c' twice"),
    "not UTF-8": (b'{"a": "\xff"}', r"is not UTF-8 \(byte 7\)"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "begins with a byte order mark"),
    "half a character": (b'{"a": "\\ud800"}', "escapes half a character"),
    "half a character in a key": (b'{"\\uDFFF": 1}', "escapes half a character"),
    "deep": (b'{"a": ' + b"[" * 100_000, "is nested too deeply"),
    "very many values": (b'{"a": [' + b"1," * 4_000_000 + b"1]}", "holds more than 4000000 values"),
    "very large": (b" " * (48 * 1024 * 1024 + 1), "is 50331649 bytes, larger"),
    "Python": (b"{'a': 1}", "is not JSON"),
    "a comma too many": (b'{"a": 1,}', "is not JSON"),
    "a leading zero": (b'{"a": 01}', "is not JSON"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_two_readers_could_see_differently_is_refused(case):
    data, said = REFUSED[case]
    with pytest.raises(FormatError, match=f"config.json: {said}"):
        strict_json.parse(data, "config.json")


def test_a_key_given_twice_among_very_many_is_found_quickly():
    pairs = ", ".join(f'"{n}": 1' for n in range(200_000))
    with pytest.raises(FormatError, match="has the key '199999' twice"):
        strict_json.parse(f'{{{pairs}, "199999": 2}}'.encode(), "x")


def test_a_whole_escaped_character_is_well():
    assert strict_json.parse(b'{"a": "\\ud83d\\ude00 \\\\ud800"}', "x") == {
        "a": "\U0001f600 \\ud800"
    }


def test_what_is_written_is_canonical_and_reads_back():
    document = {"b": 1.0, "a": ["è", None, True], "c": {}}
    data = strict_json.dump(document)
    assert data == json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"
    assert strict_json.parse(data, "x") == document


def test_numbers_that_json_cannot_say_are_a_callers_bug():
    with pytest.raises(ValueError, match="JSON"):
        strict_json.dump({"loss": float("nan")})
