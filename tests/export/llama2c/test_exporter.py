"""What is exported is equal, byte for byte, to what llama2.c's `export.py` makes of the model.

`run.c` and `runq.c` were run on such folders too: the same tokens as those of mypt.
"""

import pytest
import torch

import mypt
from mypt.api.export import export_model
from mypt.format.errors import FormatError, UsageError
from mypt.plugins.manager import load_plugins
from tests.support.llama2c_models import (
    BARE,
    HIDDEN,
    IDS,
    compute_logits,
    make_tensors,
    open_logits,
    write_bin,
    write_ckpt,
)
from tests.support.paths import FIXTURES

PLUGINS = load_plugins()
FOLDER = FIXTURES / "neighbours" / "llama2c_mha"
KINDS = [(0, 0), (1, 0), (2, 8)]
LLAMA = {
    "block_size": 24,
    "vocab_size": 61,
    "n_embd": 32,
    "n_head": 4,
    "n_layer": 2,
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "norm_eps": 1e-5,
    "head_bias": False,
    "mlp_hidden": HIDDEN,
    "dropout": 0.0,
}


@pytest.mark.parametrize(("version", "group"), KINDS)
@pytest.mark.parametrize("shared", [True, False])
def test_the_files_are_those_of_llama2c(tmp_path, version, group, shared):
    tensors = make_tensors(shared)
    path = write_ckpt(tmp_path / "ckpt.pt", tensors)
    options = BARE | {"version": version}
    notes = export_model(path, "llama2c", tmp_path / "out", plugins=PLUGINS, options=options)
    wanted = write_bin(tmp_path / "wanted.bin", tensors, version, group, shared).read_bytes()
    assert (tmp_path / "out" / "model.bin").read_bytes() == wanted
    assert ("8 bits per value, in groups of 8" in "".join(notes)) == (version == 2)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no checkpoints of neighbours beside this")
@pytest.mark.parametrize(
    ("version", "name"), [(0, "model.bin"), (1, "model_v1.bin"), (2, "model_v2.bin")]
)
def test_the_files_are_those_that_llama2c_has_written(tmp_path, version, name):
    options = {"version": version}
    export_model(FOLDER / "ckpt.pt", "llama2c", tmp_path / "out", plugins=PLUGINS, options=options)
    assert (tmp_path / "out" / "model.bin").read_bytes() == (FOLDER / name).read_bytes()
    ids = [
        mypt.load(p, plugins=PLUGINS).tokenizer.encode("a time, 1 llama")
        for p in (FOLDER, tmp_path / "out")
    ]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    "fields",
    [{}, {"n_kv_head": 2}, {"tie_weights": True}, {"attn_scale": 0.2, "rope_theta": 1e4}],
    ids=str,
)
def test_a_model_of_mypt_has_its_logits_there(tmp_path, fields):
    model = mypt.GPT(mypt.GPTConfig(**{**LLAMA, **fields}), plugins=PLUGINS).eval()
    torch.manual_seed(4)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    model.save(tmp_path / "model")
    notes = export_model(tmp_path / "model", "llama2c", tmp_path / "out", plugins=PLUGINS)
    with torch.no_grad():
        wanted = model(IDS)[0]
    found = open_logits(tmp_path / "out", PLUGINS)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert ("the scale of attention is multiplied into the queries" in notes) == (
        "attn_scale" in fields
    )
    assert "the folder has no tokenizer.bin, without which run.c does not start" in notes


def test_a_group_that_is_asked_for_is_halved_until_it_divides(tmp_path):
    tensors = make_tensors()
    path = write_ckpt(tmp_path / "ckpt.pt", tensors)
    for asked, made in ((4, 4), (1024, 8)):
        out = tmp_path / str(asked)
        options = BARE | {"version": 2, "group_size": asked}
        export_model(path, "llama2c", out, plugins=PLUGINS, options=options)
        wanted = write_bin(tmp_path / "wanted.bin", tensors, 2, made)
        assert (out / "model.bin").read_bytes() == wanted.read_bytes()


def test_zeros_stay_zeros_in_8_bits(tmp_path):
    tensors = make_tensors()
    tensors["layers.0.attention.wo.weight"].zero_()
    path = write_ckpt(tmp_path / "ckpt.pt", tensors)
    options = BARE | {"version": 2}
    export_model(path, "llama2c", tmp_path / "out", plugins=PLUGINS, options=options)
    found = open_logits(tmp_path / "out", PLUGINS)
    assert (found - compute_logits(tensors, IDS[0])).abs().max() < 0.3


def test_rows_that_make_no_groups_are_refused_in_8_bits_alone(tmp_path):
    path = write_ckpt(tmp_path / "ckpt.pt", make_tensors(hidden_dim=33), {"hidden_dim": 33})
    with pytest.raises(FormatError, match="/mlp_hidden: is 33, which does not divide into groups"):
        export_model(
            path, "llama2c", tmp_path / "out", plugins=PLUGINS, options=BARE | {"version": 2}
        )
    export_model(path, "llama2c", tmp_path / "out", plugins=PLUGINS, options=BARE)


@pytest.mark.parametrize("options", [{"version": 3}, {"group_size": 6}, {"versions": 1}])
def test_an_option_that_it_does_not_have_is_refused(tmp_path, options):
    path = write_ckpt(tmp_path / "ckpt.pt", make_tensors())
    with pytest.raises(UsageError):
        export_model(path, "llama2c", tmp_path / "out", plugins=PLUGINS, options=BARE | options)
