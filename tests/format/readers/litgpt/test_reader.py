import json

import pytest
import torch
import torch.nn.functional as F
import yaml

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.format.readers.litgpt.reader import READER
from mypt.format.validate import validate
from mypt.testing import check_reader
from tests.support.litgpt_models import (
    CASES,
    IDS,
    check_logits,
    compute_logits,
    make_tensors,
    write_folder,
)

QKV = "transformer.h.1.attn.qkv.weight"


@pytest.mark.parametrize("name", ["lm_head.weight", QKV, "transformer.ln_f.weight"])
def test_a_tensor_that_is_missing_renamed_or_misshapen_is_refused(tmp_path, plugins, name):
    whole = make_tensors(CASES["llama"])
    without = {key: tensor for key, tensor in whole.items() if key != name}
    spoilt = {
        rf"{name}: is missing": without,
        rf"{name}s: does not belong": without | {f"{name}s": whole[name]},
        rf"{name}: has shape": whole | {name: whole[name][1:].clone()},
        rf"{name}: has dtype": whole | {name: whole[name].int()},
    }
    for number, (said, tensors) in enumerate(spoilt.items()):
        folder = write_folder(tmp_path / str(number), CASES["llama"], tensors)
        with pytest.raises(FormatError, match=said):
            mypt.load(folder, plugins=plugins)


def test_what_is_not_a_state_dict_is_refused(tmp_path, plugins):
    tensors = make_tensors(CASES["llama"])
    folder = write_folder(tmp_path / "model", CASES["llama"], tensors)
    for contents, said in (
        ([1], "does not hold a state dict"),
        ({"model": 3}, "model: is not a state dict"),
        ({"model": tensors | {"x": 3}}, "x: is not a tensor"),
    ):
        torch.save(contents, folder / "lit_model.pth")
        with pytest.raises(FormatError, match=said):
            mypt.load(folder, plugins=plugins)


def test_a_folder_of_shards_is_refused_with_what_to_do(tmp_path, plugins):
    folder = write_folder(tmp_path / "model", CASES["llama"], make_tensors(CASES["llama"]))
    (folder / "lit_model.pth").unlink()
    (folder / "lit_model.pth").mkdir()
    with pytest.raises(FormatError, match=r"is a folder of shards.*convert_pretrained_checkpoint"):
        mypt.load(folder, plugins=plugins)


def test_the_file_alone_is_named_as_litgpts(tmp_path, plugins):
    folder = write_folder(tmp_path / "model", CASES["llama"], make_tensors(CASES["llama"]))
    (folder / "model_config.yaml").unlink()
    with pytest.raises(FormatError, match=r"model_config.yaml: is missing: litgpt keeps the sizes"):
        mypt.load(folder / "lit_model.pth", plugins=plugins)


def test_a_config_of_hugging_face_beside_it_changes_nothing(tmp_path, plugins):
    tensors = make_tensors(CASES["llama"])
    folder = write_folder(tmp_path / "model", CASES["llama"], tensors)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    check_logits(folder, tensors, CASES["llama"], plugins)


def test_wrappers_are_taken_off_and_told_of(tmp_path, plugins):
    tensors = make_tensors(CASES["pythia"])
    wrapped = {f"_forward_module._orig_mod.{name}": tensor for name, tensor in tensors.items()}
    folder = write_folder(tmp_path / "model", CASES["pythia"], wrapped)
    notes = mypt.get_model_info(folder, plugins=plugins)["notes"]
    assert any("_orig_mod" in note for note in notes)
    check_logits(folder, tensors, CASES["pythia"], plugins)


def test_a_head_that_is_the_embedding_is_tied(tmp_path, plugins):
    tensors = make_tensors(CASES["llama"])
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    folder = write_folder(tmp_path / "model", CASES["llama"], tensors)
    assert mypt.load(folder, plugins=plugins).config.tie_weights


def write_tokenizer(folder):
    """Write a tokenizer without merges, with the ids of its vocabulary alone."""
    vocab = {chr(200 + number): number for number in range(61)}
    model = {"type": "BPE", "vocab": vocab, "merges": []}
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [], "model": model}))


def name_parameters(optimizer, names):
    """Give the state as FSDP saves it, which sorts parameters by modules."""
    names = list(names)
    (group,) = optimizer["param_groups"]
    return {
        "state": {names[number]: state for number, state in optimizer["state"].items()},
        "param_groups": [{**group, "params": names[::-1]}],
    }


@pytest.mark.parametrize("has_names", [False, True])
@pytest.mark.parametrize("name", ["pythia", "interleaved"])
def test_training_goes_on_as_in_litgpt(tmp_path, plugins, name, has_names):
    """The loss after two more updates, with its single group of parameters."""
    tensors = make_tensors(CASES[name])
    p = {key: t.clone().requires_grad_() for key, t in tensors.items()}
    theirs = torch.optim.AdamW(p.values(), lr=1e-2, weight_decay=0.3, betas=(0.9, 0.95))

    def update():
        theirs.zero_grad()
        logits = compute_logits(p, CASES[name], IDS[0])
        loss = F.cross_entropy(logits[:-1], IDS[0, 1:])
        loss.backward()
        theirs.step()
        return loss.item()

    update()
    saved = {key: t.detach().clone() for key, t in p.items()}
    write_tokenizer(tmp_path / "step-000001")
    folder = write_folder(
        tmp_path / "step-000001",
        CASES[name],
        saved,
        optimizer=name_parameters(theirs.state_dict(), p) if has_names else theirs.state_dict(),
        iter_num=4,
        step_count=1,
    )
    opened = open_checkpoint(folder, plugins)
    assert not opened.training_state.exact
    training = opened.training_state.training_config
    assert (training.weight_decay, training.weight_decay_on) == (0.3, "all")
    model, ours, step = resume(opened, training, plugins, torch.device("cpu"))
    assert step == 1
    for group in ours.param_groups:
        group["lr"] = 1e-2
    for _ in range(2):
        update()
        ours.zero_grad()
        model.eval().loss(IDS[:, :-1], IDS[:, 1:]).backward()
        ours.step()
    wanted = update()
    assert model.loss(IDS[:, :-1], IDS[:, 1:]).item() == pytest.approx(wanted, abs=1e-5)


def test_an_optimizer_that_does_not_fit_is_a_flaw_of_training_alone(tmp_path, plugins):
    tensors = make_tensors(CASES["llama"])
    optimizer = torch.optim.AdamW([torch.zeros(2, requires_grad=True)]).state_dict()
    folder = write_folder(
        tmp_path / "m", CASES["llama"], tensors, optimizer=optimizer, step_count=3
    )
    assert mypt.load(folder, plugins=plugins)
    found = validate(folder, plugins.layouts, tuple(plugins.readers.values()))
    assert any("groups of [1] parameters" in problem.what for problem in found)


def test_nothing_is_wrong_with_the_reader(tmp_path):
    folder = write_folder(tmp_path / "m", CASES["gemma_3"], make_tensors(CASES["gemma_3"]))
    check_reader(READER, folder)


def test_a_config_that_is_no_yaml_is_refused_by_its_name(tmp_path, plugins):
    folder = write_folder(tmp_path / "m", CASES["llama"], make_tensors(CASES["llama"]))
    (folder / "model_config.yaml").write_text(yaml.dump([1]))
    with pytest.raises(FormatError, match=r"model_config.yaml: is not a document with names"):
        mypt.load(folder, plugins=plugins)
