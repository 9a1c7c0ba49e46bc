"""What bytes are that are no UTF-8 text, and the command that makes one of them."""

import gzip
import io
import shlex
import shutil
import subprocess

import numpy as np
import pytest

from mypt.data.text import decode_text, read_text
from mypt.format.errors import DataError

ITALIAN = "Così è la vita, perché no? L'età è più di così.\n" * 20
TEXTS = {
    "english": "Midway in our life's journey, I went astray\n" * 20,
    "italian": ITALIAN,
    "russian": "Мороз и солнце; день чудесный!\n" * 20,
    "chinese": "床前明月光疑是地上霜。\n" * 20,
}


def shorten(value):
    return value if isinstance(value, str) else "data"


def refusal(path):
    with pytest.raises(DataError) as caught:
        read_text(path)
    [problem] = caught.value.problems
    assert "\n" not in str(problem)
    return problem


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-32", "UTF-32"),
        ("utf-32-le", "UTF-32LE"),
        ("utf-32-be", "UTF-32BE"),
    ],
)
def test_a_wide_text_is_named_and_the_command_converts_it(text, encoding, name, tmp_path):
    """With a byte order mark or without: the text would be learnt with a NUL in each character."""
    path = tmp_path / "a text.txt"
    path.write_bytes(TEXTS[text].encode(encoding))
    problem = refusal(path)
    assert name in problem.what
    command = problem.fix.removeprefix("convert it: ")
    assert command.startswith(f"iconv -f {name} -t UTF-8 {shlex.quote(str(path))} > ")
    if shutil.which("iconv") is None:
        pytest.skip("there is no iconv")
    subprocess.run(command, shell=True, check=True)
    assert read_text(tmp_path / "a text.utf8.txt") == TEXTS[text]


@pytest.mark.parametrize(
    ("data", "likely"),
    [
        (ITALIAN.encode("latin-1"), "ISO-8859-1"),
        (f"“{ITALIAN}”".encode("cp1252"), "WINDOWS-1252"),
        (("吾輩は猫である。\n" * 9).encode("iso2022_jp"), "ISO-2022-JP"),
        (TEXTS["russian"].encode("koi8-r"), "ENCODING"),
        (TEXTS["chinese"].encode("gb18030"), "ENCODING"),
    ],
    ids=shorten,
)
def test_a_text_in_an_older_encoding_gets_the_command_that_converts_it(data, likely, tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(data)
    assert f"iconv -f {likely} -t UTF-8 {path} > {tmp_path}/input.utf8.txt" in refusal(path).fix


def npy():
    stream = io.BytesIO()
    np.save(stream, np.arange(9))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (gzip.compress(b"a text"), "is a gzip archive"),
        (b"%PDF-1.4\n1 0 obj\n", "is a PDF document"),
        (b"PK\x03\x04 a.docx\x00", "is a zip archive"),
        (b"a.txt".ljust(257, b"\0") + b"ustar" + bytes(9), "is a tar archive"),
        (npy(), "is a NumPy array"),
        (np.arange(500, dtype="<u2").tobytes(), "is not a text, but a binary file"),
        (np.arange(500, dtype="<u4").tobytes(), "is not a text, but a binary file"),
        (bytes(range(1, 32)), "consists of control characters"),
        (b"a record\0" * 40, "has NUL characters: the first is byte 8"),
        ("più\0".encode() * 40, "has NUL characters: the first is byte 4"),
        (ITALIAN.encode() + b"caff\xe9\n" + ITALIAN.encode(), "in a text that is UTF-8 otherwise"),
        (ITALIAN.encode() + b"\xc3", "with which a character begins and the file ends"),
    ],
    ids=shorten,
)
def test_what_is_no_text_is_named(data, what, tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(data)
    assert what in refusal(path).what


def test_escapes_of_a_terminal_are_text(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"\x1b[31mred\x1b[0m\x1b(B and $B\n" * 5)
    assert read_text(path).startswith("\x1b[31m")


def test_a_wrong_byte_far_from_the_head_is_judged_by_its_surroundings(tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(b"plain text\n" * 100_001 + ITALIAN.encode("latin-1"))
    assert "byte 1100014 is 0xec, likely ISO-8859-1" in refusal(path).what


def test_the_standard_input_is_converted_in_a_pipe():
    with pytest.raises(DataError, match=r"\.\.\. \| iconv -f UTF-16LE -t UTF-8 \| \.\.\."):
        decode_text(ITALIAN.encode("utf-16-le"), "the standard input")
