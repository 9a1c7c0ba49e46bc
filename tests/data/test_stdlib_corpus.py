import os
import platform
import subprocess
import sys

import pytest

from mypt.data.stdlib_corpus import standard_library_text
from mypt.format.errors import DataError


@pytest.fixture(scope="module")
def corpus():
    return standard_library_text()


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_it_is_megabytes_of_python(corpus):
    assert len(corpus.text) > 2_000_000
    assert corpus.text.count("\ndef ") > 1000
    assert "import" in corpus.text[-len(corpus.text) // 10 :]


def test_it_has_fewer_than_100_characters(corpus):
    assert corpus.text.isascii()
    assert len(set(corpus.text)) < 100


def test_it_says_what_it_is(corpus):
    start = f"the Python {platform.python_version()} standard library ("
    assert corpus.description.startswith(start)
    assert corpus.description.endswith(f" files, {len(corpus.text) / 1e6:.1f} MB)")


def test_the_last_tenth_is_like_the_rest(corpus):
    end = len(corpus.text) * 9 // 10
    shares = [
        {char: part.count(char) / len(part) for char in " e\n_(#'"}
        for part in (corpus.text[:end], corpus.text[end:])
    ]
    for char, share in shares[0].items():
        assert shares[1][char] == pytest.approx(share, rel=0.5)


def test_it_is_the_same_in_every_process(corpus):
    program = (
        "import hashlib; from mypt.data.stdlib_corpus import standard_library_text as f;"
        "print(hashlib.sha256(f().text.encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in (1, 2)
    }
    assert len(digests) == 1


def test_the_order_depends_on_names_alone(tmp_path):
    files = {f"{name}.py": f"{name} = 1".encode() for name in "abcdefgh"}
    write(tmp_path / "one", files)
    write(tmp_path / "two", dict(reversed(files.items())))
    one, two = (standard_library_text(tmp_path / name).text for name in ("one", "two"))
    assert one == two
    assert sorted(one.splitlines()) == [f"{name} = 1" for name in "abcdefgh"]
    assert one.splitlines() != sorted(one.splitlines())


def test_what_is_not_library_or_not_plain_is_left_out(tmp_path):
    write(
        tmp_path,
        {
            "a.py": b"a = 1\r\n\r\n",
            "sub/b.py": b"b = 2",
            "empty.py": b"",
            "accent.py": "é".encode(),
            "control.py": b"\x1b",
            "notes.txt": b"x",
            "_sysconfigdata_x.py": b"x",
            "test/test_a.py": b"x",
            "sub/tests/t.py": b"x",
            "site-packages/p.py": b"x",
            "__pycache__/c.py": b"x",
        },
    )
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    corpus = standard_library_text(tmp_path)
    assert sorted(corpus.text.splitlines()) == ["a = 1", "b = 2"]
    assert corpus.description.endswith("(2 files, 0.0 MB)")


def test_a_python_without_its_sources_is_reported(tmp_path):
    for folder in (tmp_path, tmp_path / "python311.zip"):
        with pytest.raises(DataError, match="name your own text with --input_file"):
            standard_library_text(folder)


def test_reading_texts_needs_no_torch():
    program = (
        "import sys, mypt.data.text, mypt.data.stdlib_corpus, mypt.data.randomness;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
