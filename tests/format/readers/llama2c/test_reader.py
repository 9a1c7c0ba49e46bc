import pytest
import torch
import torch.nn.functional as F

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.format.readers.llama2c.reader import READER
from mypt.testing import check_reader
from tests.support.llama2c_models import (
    ARGS,
    BARE,
    IDS,
    compute_logits,
    make_tensors,
    open_logits,
    write_bin,
    write_ckpt,
)
from tests.support.paths import FIXTURES

FOLDER = FIXTURES / "neighbours" / "llama2c_mha"
WQ = "layers.1.attention.wq.weight"


def test_a_folder_is_opened_by_its_ckpt_and_else_by_its_bin(tmp_path, plugins):
    tensors, others = make_tensors(), make_tensors(seed=1)
    write_bin(tmp_path / "model.bin", others, 0)
    (tmp_path / "other.bin").write_bytes(b"x")
    found = open_logits(tmp_path, plugins)
    torch.testing.assert_close(found, compute_logits(others, IDS[0]), atol=1e-5, rtol=0)
    write_ckpt(tmp_path / "ckpt.pt", tensors)
    found = open_logits(tmp_path, plugins)
    torch.testing.assert_close(found, compute_logits(tensors, IDS[0]), atol=1e-5, rtol=0)


def test_a_head_that_is_not_the_embedding_is_kept_and_told_of(tmp_path, plugins):
    tensors = make_tensors(tied=False)
    path = write_ckpt(tmp_path / "ckpt.pt", tensors)
    found = open_logits(path, plugins)
    torch.testing.assert_close(found, compute_logits(tensors, IDS[0]), atol=1e-5, rtol=0)
    notes = mypt.get_model_info(path, plugins=plugins, options=BARE)["notes"]
    assert any("opened untied" in note for note in notes)


def test_a_head_that_is_not_stored_is_the_embedding(tmp_path, plugins):
    tensors = make_tensors()
    wanted = compute_logits(tensors, IDS[0])
    del tensors["output.weight"]
    found = open_logits(write_ckpt(tmp_path / "ckpt.pt", tensors), plugins)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_wrappers_masks_and_tables_are_taken_off(tmp_path, plugins):
    tensors = make_tensors()
    wanted = compute_logits(tensors, IDS[0])
    tensors |= {"freqs_cos": torch.ones(24, 4), "freqs_sin": torch.ones(24, 4)}
    tensors |= {"layers.0.attention.mask": torch.ones(1, 1, 24, 24)}
    wrapped = {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}
    found = open_logits(write_ckpt(tmp_path / "ckpt.pt", wrapped), plugins)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["tok_embeddings.weight", WQ, "norm.weight"])
def test_a_tensor_that_is_missing_renamed_or_misshapen_is_refused(tmp_path, plugins, name):
    whole = make_tensors()
    without = {key: tensor for key, tensor in whole.items() if key != name}
    spoilt = {
        rf"{name}: is missing": without,
        rf"{name}s: does not belong": without | {f"{name}s": whole[name]},
        rf"{name}: has shape": whole | {name: whole[name][1:].clone()},
    }
    for said, tensors in spoilt.items():
        path = write_ckpt(tmp_path / "ckpt.pt", tensors)
        with pytest.raises(FormatError, match=said):
            mypt.load(path, plugins=plugins, options=BARE)


def save_training(path, tensors):
    """Train a model for an update with its optimizer, save it, and give what trains it on."""
    p = {n: t.clone().requires_grad_() for n, t in tensors.items() if n != "output.weight"}
    groups = [[t for t in p.values() if (t.dim() >= 2) == decays] for decays in (True, False)]
    theirs = torch.optim.AdamW(
        [{"params": g, "weight_decay": d} for g, d in zip(groups, (0.3, 0.0), strict=True)],
        lr=1e-2,
        betas=(0.9, 0.95),
    )

    def update():
        theirs.zero_grad()
        logits = compute_logits(p | {"output.weight": p["tok_embeddings.weight"]}, IDS[0])
        loss = F.cross_entropy(logits[:-1], IDS[0, 1:])
        loss.backward()
        theirs.step()
        return loss.item()

    update()
    saved = {name: tensor.detach().clone() for name, tensor in p.items()}
    saved["output.weight"] = saved["tok_embeddings.weight"]
    config = {"learning_rate": 1e-2, "max_iters": 600, "dtype": "float32", "batch_size": 5}
    beside = {"optimizer": theirs.state_dict(), "iter_num": 1, "config": config}
    write_ckpt(path, saved, **beside)
    return update


@pytest.mark.skipif(not FOLDER.is_dir(), reason="no checkpoints of neighbours beside this")
def test_training_goes_on_as_in_llama2c(tmp_path, plugins):
    """The loss after two more updates, with nanoGPT's grouping of parameters."""
    path, vocabulary = tmp_path / "ckpt.pt", {"tokenizer": str(FOLDER / "tok512.model")}
    update = save_training(path, make_tensors(vocab_size=512))
    saved = torch.load(path, weights_only=True)
    torch.save({**saved, "model_args": ARGS | {"vocab_size": 512}}, path)
    opened = open_checkpoint(path, plugins, vocabulary)
    training = opened.training_state.training_config
    assert (training.weight_decay, training.weight_decay_on) == (0.3, "matrices")
    assert (training.max_iters, opened.config.batch_size) == (600, 5)
    model, ours, step = resume(opened, training, plugins, torch.device("cpu"))
    assert step == 1
    for group in ours.param_groups:
        group["lr"] = 1e-2
    for _ in range(2):
        update()
        ours.zero_grad()
        model.eval().loss(IDS[:, :-1], IDS[:, 1:]).backward()
        ours.step()
    assert model.loss(IDS[:, :-1], IDS[:, 1:]).item() == pytest.approx(update(), abs=1e-5)


def test_nothing_is_wrong_with_the_reader(tmp_path):
    save_training(tmp_path / "ckpt.pt", make_tensors())
    check_reader(READER, tmp_path / "ckpt.pt", BARE)
