"""What the reader of a plugin reads is taken in every place that takes a checkpoint."""

import json
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.validate import validate
from mypt.plugins.faults import PluginOrigin
from tests.support.installed import install

CODE = """
import zipfile

import numpy as np
{torch}
from mypt.plugins import Checkpoint, FormatError, Problem, ReaderFactory, hookimpl

def recognises(path):
    if path.is_dir():
        return (path / "weights.npz").is_file() and recognises(path / "weights.npz")
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "n_head.npy" in archive.namelist()

def read(path, load, options):
    with np.load(path / "weights.npz" if path.is_dir() else path) as saved:
        found = {{name: saved[name] for name in saved}}
    config = {{"n_head": found.pop("n_head")[()], **{sizes}}}
    tokenizer = {{"token_kind": "char", "chars": list(options["chars"])}}
    tensors = {{name: {convert} for name, value in found.items()}}
    return Checkpoint(config=config, tokenizer=tokenizer, tensors=tensors)

@hookimpl
def mypt_legacy_readers():
    schema = {{"properties": {{"chars": {{"type": "string"}}}}, "required": ["chars"]}}
    return [ReaderFactory("acme", recognises=recognises, read=read, options=schema)]
"""
SIZES = {"n_layer": 1, "n_embd": 8, "block_size": 8, "vocab_size": 3, "dropout": 0.0}
KINDS = {"numpy": ("", "value"), "torch": ("import torch", "torch.from_numpy(value)")}


@pytest.fixture(params=KINDS)
def theirs(request, in_tmp, monkeypatch):
    """A file of another program, and the installed plugin that reads it."""
    importing, convert = KINDS[request.param]
    code = CODE.format(torch=importing, convert=convert, sizes=SIZES)
    monkeypatch.syspath_prepend(
        install(in_tmp / "packages", "acme-reader", code, module=f"acme_reader_{request.param}")
    )
    model = mypt.GPT(mypt.GPTConfig(n_head=2, head_bias=True, **SIZES))
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.savez("theirs.npz", n_head=np.int64(2), **arrays)
    Path("input.txt").write_text("abcab" * 60)
    return Path("theirs.npz"), model.eval()


CHARS = ("--option", "chars=abc")
TRAIN = ("--input_file", "input.txt", "--max_iters", "1", "--eval_iters", "1", "--device", "cpu")


def test_a_reader_that_gives_plain_tensors_goes_the_whole_way(theirs, cli):
    path, model = theirs
    idx = torch.arange(6)[None] % 3
    with torch.no_grad():
        logits = model(idx)
        assert torch.equal(mypt.load(path, options={"chars": "abc"})(idx), logits)
    code, out, err = cli("inspect", "--model_name", path, "--json", *CHARS)
    info = json.loads(out)
    assert (info["format"], info["config"]["n_head"], info["parameters"]) == (
        "acme",
        2,
        sum(p.numel() for p in model.parameters()),
    )
    code, out, _ = cli("format", "validate", path)
    assert code == 1
    said = 'does not say chars; supply it: --option chars=... (in Python: options={"chars": ...})'
    assert said in out
    with pytest.raises(FormatError) as raised:
        mypt.load(path)
    assert said in str(raised.value)
    for words in (
        ("format", "validate", path),
        ("format", "validate", "."),
        ("generate", "--model_name", path, "--prompt", "ab", "--max_new_tokens", "3"),
        ("compare", path, path, "--prompt", "ab", "--max_new_tokens", "2"),
        ("format", "migrate", path, "--output", "bundle"),
        ("train", "--model_name", "new", "--init_from_model", path, *TRAIN),
    ):
        code, out, err = cli(*words, *CHARS)
        assert code == 0, (words, out, err)
    with torch.no_grad():
        assert torch.equal(mypt.load("bundle")(idx), logits)
    lineage = mypt.get_model_info("new")["training_state"]["lineage"]
    assert [one["model"] for one in lineage] == ["theirs.npz"]


def test_a_folder_is_known_by_its_own_files(theirs, cli, refused):
    path, _ = theirs
    folder = Path("checkpoints/theirs")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"of": "their program"}')
    path.rename(folder / "weights.npz")
    code, out, _ = cli("inspect", "--model_name", "theirs", *CHARS)
    assert code == 0
    assert "weights.npz: " in out
    line = refused("train", "--model_name", "theirs", *TRAIN, *CHARS, code=2)
    assert "whose config.json would be written over" in line
    (folder / "config.json").unlink()
    words = ("train", "--model_name", "new", "--init_from_model", "theirs")
    code, _, err = cli(*words, *TRAIN, *CHARS)
    assert code == 0, err
    (ancestor,) = mypt.get_model_info("new")["training_state"]["lineage"]
    assert ancestor["sha256"] == sha256((folder / "weights.npz").read_bytes()).hexdigest()


def test_all_below_a_folder_are_migrated(theirs, cli):
    path, _ = theirs
    Path("tree/deep").mkdir(parents=True)
    path.rename("tree/deep/of_any.suffix")
    code, out, err = cli("format", "migrate", "tree", "--all", *CHARS)
    assert code == 0, out + err
    assert "tree/deep/of_any.suffix -> tree/deep/of_any: migrated" in out
    assert "1 checkpoints, 0 failed" in out


# What is changed in the plugin, and what is said of it then.
WRONG = {
    "no checkpoint": ("return Checkpoint(", "return dict(", "it returns dict, not Checkpoint"),
    "a list": (
        "tensors=tensors)",
        "tensors=list(tensors))",
        "tensors of its Checkpoint are a li",
    ),
    "no field": ('{"n_head": ', '{"heads": ', "config of its Checkpoint is not valid: /n_head is"),
    "no kind": ('"token_kind": "char", ', "", "tokenizer of its Checkpoint is not valid: /token_k"),
    "no key": ('found.pop("n_head")', 'found.pop("heads")', "KeyError: 'heads'"),
    "no tensors": ("{name: torch.from", "{name: str(torch.from", "is a str, not a torch tensor"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_plugin_does_wrong_is_not_said_of_the_file(theirs, what):
    path, _ = theirs
    right, wrong, said = WRONG[what]
    code = CODE.format(torch="import torch", convert="torch.from_numpy(value)", sizes=SIZES)
    code = code.replace(right, wrong).replace("str(torch.from_numpy(value)", "str(value)")
    names = {}
    exec(compile(code, what, "exec"), names)
    plugins = mypt.load_plugins(["acme-reader"])
    hooks = SimpleNamespace(mypt_legacy_readers=names["mypt_legacy_readers"])
    plugins.register(hooks, PluginOrigin("wrong", "acme-wrong", "1.0"))
    with pytest.raises(FormatError, match=said) as raised:
        mypt.load(path, plugins=plugins, options={"chars": "abc"})
    (problem,) = raised.value.problems
    assert (problem.file, problem.where) == ("", "plugin wrong of acme-wrong 1.0")
    assert f"failed in `read` of its legacy reader `acme` on {path}" in problem.what
    found = validate(
        path, plugins.layouts, tuple(plugins.readers.values()), options={"chars": "abc"}
    )
    assert found == [problem]


def test_a_tensor_that_the_file_lacks_names_both(theirs):
    path, _ = theirs
    with np.load(path) as saved:
        np.savez("less.npz", **{name: saved[name] for name in saved if name != "ln_f.weight"})
    with pytest.raises(FormatError, match=r"ln_f\.weight: is missing") as raised:
        mypt.load("less.npz", options={"chars": "abc"})
    said = str(raised.value)
    assert "as the reader acme of the plugin acme-reader of acme-reader 1.0 reads it" in said
    assert "restore the file, or update that plugin" in said


MISFITS = {
    "a part": ('{"n_head"', '{"norm_type": "rmsnorm", "n_head"', '/norm_type is "rmsnorm", but '),
    "a size": ("'vocab_size': 3", "'vocab_size': 4", "/vocab_size is 4, but "),
    "a depth": ("'n_layer': 1", "'n_layer': 2", "/n_layer is 2, but theirs.npz holds 1 block"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_config_that_does_not_fit_its_tensors_is_said_of_the_plugin(theirs, what):
    path, _ = theirs
    right, wrong, said = MISFITS[what]
    code = CODE.format(torch="", convert="value", sizes=SIZES).replace(right, wrong)
    names = {}
    exec(compile(code, what, "exec"), names)
    plugins = mypt.load_plugins(["acme-reader"])
    hooks = SimpleNamespace(mypt_legacy_readers=names["mypt_legacy_readers"])
    plugins.register(hooks, PluginOrigin("wrong", "acme-wrong", "1.0"))
    with pytest.raises(FormatError) as raised:
        mypt.load(path, plugins=plugins, options={"chars": "abc"})
    (problem,) = raised.value.problems
    assert (problem.file, problem.where) == ("", "plugin wrong of acme-wrong 1.0")
    assert problem.what.startswith(
        "its reader acme returned a config for theirs.npz that does not fit the tensors which it "
        f"returned: {said}"
    )
    assert "was saved with" not in problem.what
    assert problem.fix == "report it to the author of the plugin"
