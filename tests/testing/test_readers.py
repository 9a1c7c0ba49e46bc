"""The kit finds nothing wrong with mypt's own readers, and what is wrong with others."""

import io
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

import mypt
from mypt.format.readers.plugin import mypt_legacy_readers
from mypt.plugins import Checkpoint, DataError, FormatError, Problem, ReaderFactory
from mypt.testing import ContractError, check_reader
from tests.support.paths import FIXTURES, ROOT

READERS = {reader.name: reader for reader in mypt_legacy_readers()}
FOREIGN, GOLDEN = FIXTURES / "foreign", ROOT / "tests" / "golden"
TEXT = "advice_letters.txt"
# Reader, checkpoint, and what has to be told of it.
OWN = {
    "nanogpt": (FOREIGN / "nanogpt_char" / "ckpt.pt", {"tokenizer": "none"}),
    "build_llm": (FOREIGN / "build_llm_lora", {"lora_alpha": 32, "training_text": TEXT}),
    "hugging_face": (FOREIGN / "hf_llama_untied", {}),
    "mypt_file": (GOLDEN / "mypt_latest" / "checkpoint" / "latest.pt", {}),
    "mypt_folder": (GOLDEN / "mypt_bundle_modern" / "checkpoint", {}),
}


@pytest.mark.parametrize("name", OWN)
def test_nothing_is_wrong_with_what_comes_with_mypt(name, tmp_path):
    path, options = OWN[name]
    if not path.exists():
        pytest.skip("the checkpoints of other programs are not beside this checkout")
    sample = tmp_path / path.name
    if path.is_dir():
        keep = shutil.ignore_patterns("*.npy", "README*", "expected.json")
        shutil.copytree(path, sample, ignore=keep, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(path, sample)
    if name == "build_llm":
        options = options | {"training_text": str(sample / TEXT)}
        (sample,) = sample.glob("*.pt")
    check_reader(READERS[name], sample, options)


SIZES = {"vocab_size": 5, "n_embd": 4, "block_size": 6, "n_layer": 1, "n_head": 2}
OPTIONS = {"properties": {"n_head": {"type": "integer"}}, "required": ["n_head"]}


@pytest.fixture
def sample(tmp_path):
    """What another program saved: arrays under mypt's names, all but the number of heads."""
    torch.manual_seed(0)
    model = mypt.GPT(mypt.GPTConfig(**SIZES, head_bias=True))
    np.savez(tmp_path / "theirs.npz", **{n: t.numpy() for n, t in model.state_dict().items()})
    return tmp_path / "theirs.npz"


def recognises(path):
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "ln_f.weight.npy" in archive.namelist()


def read(path, load, options):
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise FormatError(Problem(str(path), "", f"is damaged: {error}", "restore it")) from error
    return Checkpoint(config={**SIZES, **options}, tensors=arrays)


RIGHT = ReaderFactory("theirs", recognises=recognises, read=read, options=OPTIONS)
HEADS = {"n_head": 2}


def test_a_right_reader_returns_its_model(sample):
    model = check_reader(RIGHT, sample, HEADS)
    with np.load(sample) as saved:
        assert np.array_equal(model.ln_f.weight.detach().numpy(), saved["ln_f.weight"])


def changed(**fields):
    def reads(path, load, options):
        return evolve(read(path, load, options), **fields)

    return {"read": reads}


def imports_torch(path):
    import torch  # noqa: F401

    return recognises(path)


def opens_blindly(path):
    return "ln_f.weight" in np.load(path)


def unpickles(path, load, options):
    with np.load(path, allow_pickle=True) as saved:
        return Checkpoint(config={**SIZES, **options}, tensors={n: saved[n] for n in saved})


def unpickles_to_look(path):
    try:
        pickle.loads(path.read_bytes())
    except Exception:
        return recognises(path)
    return False


def asks_rudely(path, load, options):
    if "n_head" not in options:
        raise DataError(Problem(str(path), "", "does not say its heads", "give --option n_head=2"))
    return read(path, load, options)


def in_any_order(path, load, options):
    found = read(path, load, options)
    return evolve(found, report=(f"read at {np.random.default_rng().integers(1 << 60)}",))


KEPT = {}


def keeps(path, load, options):
    """Give the same arrays to all who ask."""
    data = path.read_bytes()
    if data not in KEPT:
        KEPT[data] = read(path, load, options)
    return KEPT[data]


def half(path, load, options):
    """Take what there is of a stream that may be cut."""
    data = path.read_bytes()
    found = read_stream(data)
    return Checkpoint(config={**SIZES, **options}, tensors=found)


def read_stream(data):
    stream, found = io.BytesIO(data), {}
    while line := stream.readline():
        name, size, *shape = line.decode().split()
        values = stream.read(int(size)).ljust(int(size), b"\0")
        found[name] = np.frombuffer(values, np.float32).reshape([*map(int, shape)]).copy()
    return found


WRONG = {
    "claims everything": ({"recognises": lambda path: True}, "it claims an empty file"),
    "claims folders": (
        {"recognises": lambda path: path.is_dir() or recognises(path)},
        "it claims an empty folder|it claims a bundle",
    ),
    "does not know its own": ({"recognises": lambda path: False}, "returns False for the sample"),
    "says yes": (
        {"recognises": lambda path: "yes" if recognises(path) else ""},
        "returns 'yes' for the sample, not True",
    ),
    "imports torch": ({"recognises": imports_torch}, "without torch: it raises ModuleNotFound"),
    "raises": ({"recognises": opens_blindly}, "`recognises` of .*: it raises "),
    "unpickles": ({"read": unpickles}, "executes the code of a "),
    "unpickles to look": ({"recognises": unpickles_to_look}, "executes the code of a pickle"),
    "is no schema": ({"options": {"properties": 5}}, "not a valid JSON Schema"),
    "asks rudely": (
        {"read": asks_rudely, "options": {**OPTIONS, "required": []}},
        "missing_option",
    ),
    "returns a dict": ({"read": lambda *_: {}}, "it returns dict, not Checkpoint"),
    "lacks a field": (
        changed(config={"n_layer": 1}),
        "not valid: /block_size is missing",
    ),
    "lacks its tensors": (changed(tensors={}), "is empty, as the reader theirs of the plugin"),
    "holds text": (changed(tensors={"a": np.array(["b"])}), "the tensor 'a' .* is of str"),
    "numbers its tensors": (changed(tensors={1: np.ones(2)}), "the name 1 of a tensor .* string"),
    "is of next year": (changed(version="9"), "the version of its Checkpoint is '9'"),
    "reports a word": (changed(report="done"), "the report of its Checkpoint is 'done'"),
    "differs each time": ({"read": in_any_order}, "read twice, it returns two different"),
    "keeps arrays": ({"read": keeps}, "share their tensors"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_reader_is_told_what_it_does_wrong(sample, what):
    fields, said = WRONG[what]
    with pytest.raises(ContractError, match=said):
        check_reader(evolve(RIGHT, **fields), sample, HEADS)


@pytest.fixture
def stream(sample):
    """The same arrays, one after the other, each under a line with its name, size and shape."""
    path = sample.with_suffix(".stream")
    with np.load(sample) as saved, path.open("wb") as file:
        for name in saved:
            shape = " ".join(map(str, saved[name].shape))
            file.write(f"{name} {saved[name].nbytes} {shape}\n".encode() + saved[name].tobytes())
    return path


def test_what_is_cut_must_be_refused_and_by_an_error_for_people(stream):
    def knows(path):
        return path.is_file() and path.read_bytes().startswith(b"token_embedding_table.weight ")

    with pytest.raises(ContractError, match=r"cut to \d+ of \d+ bytes"):
        check_reader(evolve(RIGHT, recognises=knows, read=half), stream, HEADS)


def test_a_sample_that_changes_is_noticed(tmp_path):
    path = tmp_path / "theirs"
    path.mkdir()
    model = mypt.GPT(mypt.GPTConfig(**SIZES, head_bias=True))
    for name, tensor in model.state_dict().items():
        np.save(path / f"{name}.npy", tensor.numpy())

    def knows(path):
        return (path / "ln_f.weight.npy").is_file()

    def maps(path, load, options):
        try:
            arrays = {f.stem: np.load(f, mmap_mode="r+") for f in sorted(path.glob("*.npy"))}
        except (ValueError, OSError) as error:
            raise FormatError(Problem(str(path), "", f"{error}", "restore it")) from error
        return Checkpoint(config={**SIZES, **options}, tensors=arrays)

    with pytest.raises(ContractError, match=r"share their tensors|not as it was"):
        check_reader(evolve(RIGHT, recognises=knows, read=maps), path, HEADS)


def test_what_is_no_reader_is_said_to_be_none(sample):
    with pytest.raises(ContractError, match="it is a function, not a ReaderFactory"):
        check_reader(read, sample)
    with pytest.raises(ContractError, match=r"FileNotFoundError|for the sample"):
        check_reader(RIGHT, Path(sample.parent / "missing"), HEADS)
