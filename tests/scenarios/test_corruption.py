"""Every damaged bit, cut and addition is found; what is loaded was looked at before.

A sample by default; with MYPT_CORRUPTION=all every bit of every JSON document, ten thousand bits
of each file of tensors, and every 4 KiB.
"""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest

import mypt
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.tokenizer import TokenizerState
from mypt.format.errors import FormatError
from mypt.format.validate import validate
from tests.support.bundles import save_random_bundle

EVERYTHING = os.environ.get("MYPT_CORRUPTION") == "all"
DOCUMENTS = ("config.json", "tokenizer.json", "training_state.json", "manifest.json")
TENSORS = ("model.pt", "optimizer.pt")
BITS = 10_000 if EVERYTHING else 60
LOADS = 300 if EVERYTHING else 12
STEP = 4096
pytestmark = pytest.mark.xdist_group("corruption")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle of some hundred KiB, with something in every document."""
    folder = tmp_path_factory.mktemp("corruption") / "dante"
    section = {"mypt-other": {"numbers": [1e5, None, -0.5]}}
    config = GPTConfig(
        block_size=32, vocab_size=26, n_embd=48, n_head=2, n_layer=2, plugins=section
    )
    chars = tuple("abcdefghijklmnopqrstuvwxyé")
    tokenizer = TokenizerState(token_kind="char", chars=chars, plugins=section)
    save_random_bundle(folder, config, tokenizer=tokenizer)
    assert validate(folder, checksums=True) == []
    return folder


class Damage:
    """A file that is spoilt in one way after the other, and whole again in the end."""

    def __init__(self, path):
        self.path = path
        self.whole = path.read_bytes()
        self.tried = 0
        self.missed = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.path.write_bytes(self.whole)

    def write(self, data, name):
        """Spoil the file; take note if nobody finds it."""
        self.path.write_bytes(data)
        self.tried += 1
        found = validate(self.path.parent, checksums=True)
        if not any(problem.file.startswith(str(self.path)) for problem in found):
            self.missed.append(name)
        return found

    def flip(self, bit):
        data = bytearray(self.whole)
        data[bit // 8] ^= 1 << bit % 8
        return self.write(bytes(data), f"bit {bit % 8} of byte {bit // 8}")

    def tell(self, what):
        print(f"{self.path.name}: {self.tried} {what}, {len(self.missed)} not found")
        assert self.missed == []


def sample(population, most, seed):
    """Take all, or a sample that is the same each time."""
    if EVERYTHING or len(population) <= most:
        return population
    return sorted(random.Random(seed).sample(population, most))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_bit_of_a_document_is_found(name, folder):
    with Damage(folder / name) as damage:
        for bit in sample(range(8 * len(damage.whole)), 250, name):
            damage.flip(bit)
        damage.tell("flipped bits")


@pytest.mark.parametrize("name", TENSORS)
def test_bits_of_the_weights_are_found(name, folder):
    with Damage(folder / name) as damage:
        bits = random.Random(name).sample(range(8 * len(damage.whole)), BITS)
        for bit in bits:
            found = damage.flip(bit)
            assert any(problem.severity == "error" for problem in found)
        damage.tell("random flipped bits")


@pytest.mark.parametrize("name", [*DOCUMENTS, *TENSORS])
def test_a_cut_at_every_4_kib_is_found(name, folder):
    with Damage(folder / name) as damage:
        whole = damage.whole
        ends = {*range(0, len(whole), STEP), 1, len(whole) // 2, len(whole) - 1}
        for end in sample(sorted(ends), 20, name):
            damage.write(whole[:end], f"cut at {end}")
        damage.tell("cuts")


@pytest.mark.parametrize("name", [*DOCUMENTS, *TENSORS])
def test_what_is_added_is_found(name, folder):
    with Damage(folder / name) as damage:
        for more in (b"\0", b" ", b"\n", bytes(STEP), b"{}", damage.whole):
            damage.write(damage.whole + more, f"{len(more)} bytes more")
            damage.write(more + damage.whole, f"{len(more)} bytes before")
        damage.tell("additions")


@pytest.mark.parametrize("name", TENSORS)
def test_a_block_that_is_lost_or_in_the_wrong_place_is_found(name, folder):
    with Damage(folder / name) as damage:
        whole = damage.whole
        blocks = range(0, len(whole) - 2 * STEP, STEP)
        for start in sample(blocks, 10, name):
            one, two = whole[start : start + STEP], whole[start + STEP : start + 2 * STEP]
            before, after = whole[:start], whole[start + 2 * STEP :]
            damage.write(before + bytes(STEP) + two + after, f"block {start} of zeros")
            damage.write(before + two + one + after, f"block {start} in the wrong place")
            damage.write(before + two + after, f"block {start} left out")
        damage.tell("lost blocks")


def test_the_same_value_in_other_bytes_is_found(folder):
    for name in DOCUMENTS:
        with Damage(folder / name) as damage:
            same = json.loads(damage.whole)
            damage.write(json.dumps(same).encode(), "other white space")
            damage.write(damage.whole.replace(b"{", b"{ ", 1), "a space")
            backwards = dict(reversed(same.items()))
            damage.write(json.dumps(backwards, indent=2).encode() + b"\n", "another order")
            damage.tell("other spellings of the same value")


def test_a_damaged_record_is_not_taken_for_damaged_files(folder):
    with Damage(folder / "manifest.json") as damage:
        digest = json.loads(damage.whole)["files"]["model.pt"]["sha256"].encode()
        other = digest[:-1] + (b"1" if digest.endswith(b"0") else b"0")
        found = damage.write(damage.whole.replace(digest, other), "another digest")
        assert [problem.kind for problem in found] == ["manifest.checksum"]


def test_without_a_manifest_the_archives_tell_of_their_weights(folder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "manifest.json").unlink()
    for name in TENSORS:
        with Damage(bare / name) as damage:
            start = damage.whole.index(b"data/0")
            end = damage.whole.rindex(b"PK\x03\x04")
            places = random.Random(name).sample(range(start + 200, end - 200), 200)
            contents = [place for place in places if is_content(damage.whole, place)]
            for place in contents if EVERYTHING else contents[:40]:
                damage.flip(8 * place)
            damage.tell("flipped bits of weights, by their own checksums")


def is_content(data, place):
    """Tell whether a byte is of a tensor, and not of a header or of the padding before one."""
    near = data[place - 200 : place + 200]
    return b"PK\x03\x04" not in near and b"ZZZZ" not in near


def test_the_command_finds_what_the_library_finds(folder):
    command = [sys.executable, "-m", "mypt.format", "validate", "--checksums", str(folder)]
    for name, code in (("model.pt", 1), ("manifest.json", 1), ("config.json", 0)):
        with Damage(folder / name) as damage:
            place = damage.whole.index(b"32") if name == "config.json" else len(damage.whole) // 2
            changed = bytearray(damage.whole)
            changed[place] ^= 1
            damage.path.write_bytes(changed)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert str(damage.path) in done.stdout
            if name != "config.json":
                assert done.returncode == code


# What is loaded.


@pytest.mark.parametrize("name", ["model.pt", "manifest.json"])
def test_damaged_files_are_not_loaded(name, folder):
    with Damage(folder / name) as damage:
        # the name of the checksum alone: what it is for is whole, and the name is warned of
        unseen = damage.whole.find(b"checksum") if name == "manifest.json" else len(damage.whole)
        for place in random.Random(name).sample(range(len(damage.whole)), LOADS):
            if unseen <= place < unseen + len("checksum"):
                continue
            changed = bytearray(damage.whole)
            changed[place] ^= 4
            damage.path.write_bytes(changed)
            with pytest.raises(FormatError) as caught:
                mypt.load(folder)
            assert str(damage.path) in str(caught.value)


def test_weights_without_a_manifest_are_compared_with_their_own_checksums(folder, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "tokenizer.json", "model.pt"):
        shutil.copy(folder / name, bare)
    assert mypt.load(bare).config.n_layer == 2
    data = bytearray((bare / "model.pt").read_bytes())
    place = next(p for p in range(len(data) // 2, len(data)) if is_content(data, p))
    data[place] ^= 1
    (bare / "model.pt").write_bytes(data)
    with pytest.raises(FormatError, match="does not have its checksum"):
        mypt.load(bare)


def test_an_archive_whose_writer_computed_no_checksums_is_loaded(folder, tmp_path):
    import torch
    from torch.serialization import set_crc32_options

    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, tmp_path)
    weights = torch.load(folder / "model.pt", weights_only=True)
    set_crc32_options(False)
    try:
        torch.save(weights, tmp_path / "model.pt")
    finally:
        set_crc32_options(True)
    assert mypt.load(tmp_path).config.n_layer == 2


def test_beyond_64_mib_only_validate_reads_all(tmp_path):
    folder = tmp_path / "large"
    config = GPTConfig(block_size=4, vocab_size=70_000, n_embd=128, n_head=2, n_layer=0)
    save_random_bundle(folder, config, with_training=False)
    path = folder / "model.pt"
    assert path.stat().st_size > 64 * 1024 * 1024
    with path.open("r+b") as stream:
        stream.seek(path.stat().st_size // 3)
        stream.write(bytes(16))
    assert mypt.load(folder).config.vocab_size == 70_000
    assert [p.kind for p in validate(folder)] == []
    assert [p.kind for p in validate(folder, checksums=True)] == ["manifest.digest"]
