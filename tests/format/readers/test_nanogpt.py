import io
import pickle
import pickletools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError, UsageError
from mypt.format.open import open_checkpoint
from mypt.format.readers.shared.plain_pickle import read_plain_pickle

ARGS = {"n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 32, "bias": True, "vocab_size": 61}
BATCH = torch.arange(40).reshape(4, 10) * 7 % 61


def logits_of(p, args, idx):
    """nanoGPT's forward pass over a state dict."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p.get(f"{name}.bias"), 1e-5)

    def linear(x, name):
        return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    t, heads = idx.size(1), args["n_head"]
    x = p["transformer.wte.weight"][idx] + p["transformer.wpe.weight"][:t]
    for layer in range(args["n_layer"]):
        at = f"transformer.h.{layer}"
        parts = linear(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn").chunk(3, -1)
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
        scores = (q @ k.mT) * q.size(-1) ** -0.5
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), float("-inf"))
        x = x + linear((scores.softmax(-1) @ v).transpose(1, 2).flatten(2), f"{at}.attn.c_proj")
        hidden = F.gelu(linear(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc"))
        x = x + linear(hidden, f"{at}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ p["transformer.wte.weight"].T


def loss_of(logits):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), BATCH[:, 1:].flatten())


@pytest.mark.parametrize("name", ["nanogpt_char", "nanogpt_compiled"])
def test_training_goes_on_as_in_nanogpt(copy_of, plugins, name):
    """The loss after the next update, with nanoGPT's own grouping of parameters."""
    case = copy_of(name)
    saved = torch.load(case.path, weights_only=True)
    weights = {n.removeprefix("_orig_mod."): t for n, t in saved["model"].items()}
    p = {n: t.clone().requires_grad_() for n, t in weights.items() if n != "lm_head.weight"}
    groups = [[t for t in p.values() if (t.dim() >= 2) == decays] for decays in (True, False)]
    theirs = torch.optim.AdamW([{"params": group} for group in groups])
    theirs.load_state_dict(saved["optimizer"])
    opened = open_checkpoint(case.path, plugins, case.options)
    training = opened.training_state.training_config
    model, ours, step = resume(opened, training, plugins, torch.device("cpu"))
    assert step == saved["iter_num"]
    for optimizer in (theirs, ours):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2
    for _ in range(2):
        theirs.zero_grad()
        loss_of(logits_of(p, saved["model_args"], BATCH)).backward()
        theirs.step()
        ours.zero_grad()
        model.eval().loss(BATCH[:, :-1], BATCH[:, 1:]).backward()
        ours.step()
    wanted = loss_of(logits_of(p, saved["model_args"], BATCH)).item()
    assert model.loss(BATCH[:, :-1], BATCH[:, 1:]).item() == pytest.approx(wanted, abs=1e-5)


def test_a_file_in_the_form_of_torch_before_1_6_is_the_same_checkpoint(copy_of, plugins):
    case = copy_of("nanogpt_char")
    before = open_checkpoint(case.path, plugins)
    held = torch.load(case.path, weights_only=True)
    torch.save(held, case.path, _use_new_zipfile_serialization=False)
    after = open_checkpoint(case.path, plugins)
    assert (after.config, after.training_state) == (before.config, before.training_state)
    for name, tensor in before.weights().items():
        assert torch.equal(after.weights()[name], tensor)
    for name, entry in before.optimizer()["state"].items():
        assert torch.equal(after.optimizer()["state"][name]["exp_avg"], entry["exp_avg"])


def test_hyperparameters_come_along(copy_of, plugins):
    state = mypt.get_model_info(copy_of("nanogpt_char").path, plugins=plugins)["training_state"]
    training = state["training_config"]
    assert (training["max_iters"], training["learning_rate"]) == (600, 0.01)
    assert (training["weight_decay_on"], training["beta2"]) == ("matrices", 0.99)
    assert not training["use_amp"]
    assert not state["exact"]


def test_settings_that_the_file_does_not_have_are_not_made_up(copy_of, plugins):
    case = copy_of("nanogpt_char")
    saved = torch.load(case.path, weights_only=True)
    torch.save({**saved, "config": None, "optimizer": None}, case.path)
    info = mypt.get_model_info(case.path, plugins=plugins)
    assert info["training_state"]["training_config"] == {"weight_decay_on": "matrices"}
    assert "batch_size" not in info["config"]


def test_a_folder_is_opened_by_its_ckpt(copy_of, plugins):
    assert mypt.get_model_info(copy_of("nanogpt_char").folder, plugins=plugins)["parameters"]


def test_missing_characters_are_asked_for_by_name(copy_of, plugins):
    case = copy_of("nanogpt_char")
    meta = case.folder / "meta.pkl"
    chars = "".join(mypt.load(case.path, plugins=plugins).tokenizer.chars)
    meta.rename(case.folder / "elsewhere.pkl")
    with pytest.raises(FormatError, match=r"--option meta=.*--option chars=.*--option tokenizer="):
        mypt.load(case.path, plugins=plugins)
    for options in ({"meta": str(case.folder / "elsewhere.pkl")}, {"chars": chars}):
        model = mypt.load(case.path, plugins=plugins, options=options)
        assert model.tokenizer.chars == tuple(chars)
    bare = mypt.load(case.path, plugins=plugins, options={"tokenizer": "none"})
    assert bare.tokenizer is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mata": "x"}, "did you mean `meta`"),
        ({"tokenizer": "some"}, "cannot be 'some'"),
        ({"meta": 3}, "cannot be 3"),
    ],
)
def test_an_option_that_means_nothing_is_refused(copy_of, plugins, options, message):
    with pytest.raises(UsageError, match=message):
        mypt.get_model_info(copy_of("nanogpt_char").path, plugins=plugins, options=options)


def test_too_many_characters_are_refused(copy_of, plugins):
    chars = "".join(map(chr, range(100, 162)))
    what = "has 62 different characters, but the model has 61 rows"
    with pytest.raises(FormatError, match=what):
        mypt.load(copy_of("nanogpt_char").path, plugins=plugins, options={"chars": chars})


def test_the_size_of_gpt2_means_its_tokenizer(copy_of, plugins):
    case = copy_of("nanogpt_char")
    contents = torch.load(case.path, weights_only=True)
    contents["model_args"]["vocab_size"] = 50304
    table = torch.zeros(50304, 32)
    contents["model"] |= {"transformer.wte.weight": table, "lm_head.weight": table}
    del contents["optimizer"]
    torch.save(contents, case.path)
    (case.folder / "meta.pkl").unlink()
    opened = open_checkpoint(case.path, plugins)
    assert opened.tokenizer.token_kind == "gpt2"
    assert any("GPT-2's tokenizer" in note for note in opened.notes)


def test_an_optimizer_state_of_another_model_keeps_from_training_alone(copy_of, plugins):
    case = copy_of("nanogpt_char")
    contents = torch.load(case.path, weights_only=True)
    contents["optimizer"]["state"][3]["exp_avg"] = torch.zeros(3)
    torch.save(contents, case.path)
    (warning,) = mypt.get_model_info(case.path, plugins=plugins)["warnings"]
    assert "h.0.attn.c_proj.weight: has moments of shape" in warning
    with pytest.raises(FormatError, match=r"h\.0\.attn\.c_proj\.weight: has moments of shape"):
        open_checkpoint(case.path, plugins).optimizer()


@pytest.mark.parametrize("change", [{"n_layer": None}, {"n_layer": "2"}, {"n_head": 3}])
def test_impossible_sizes_are_refused(copy_of, plugins, change):
    case = copy_of("nanogpt_char")
    contents = torch.load(case.path, weights_only=True)
    contents["model_args"] |= change
    torch.save(contents, case.path)
    with pytest.raises(FormatError, match=next(iter(change))):
        mypt.get_model_info(case.path, plugins=plugins)


class Gadget:
    def __reduce__(self):
        return print, ("this must never be printed",)


def hostile():
    text = io.StringIO()
    bomb = b"\x80\x04" + b"}" * 5_000_000 + b"."
    return {
        "call": pickle.dumps({"itos": Gadget()}),
        "global": b"cos\nsystem\n.",
        "instance": b"(ios\nsystem\n.",
        "list": pickle.dumps({"itos": [1, 2]}),
        "not a dict": pickle.dumps("text"),
        "cut": pickle.dumps({"itos": {0: "a"}})[:-3],
        "empty": b"",
        "text": b"hello" + text.getvalue().encode(),
        "wide keys": pickle.dumps({2**70: "a"}),
        "bomb": bomb,
        "large": b"\x80\x04" + b"N" * (9 * 1024 * 1024),
        "unmarked": b"\x80\x04u.",
        "deep memo": b"\x80\x04}h\x07.",
    }


@pytest.mark.parametrize(
    ("held", "what"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a git-lfs pointer"),
        (b"<html>404</html>", "is a web page"),
    ],
)
def test_what_a_failed_copy_left_for_meta_is_named(copy_of, plugins, held, what):
    case = copy_of("nanogpt_char")
    (case.folder / "meta.pkl").write_bytes(held)
    with pytest.raises(FormatError, match=rf"meta\.pkl: {what}") as caught:
        mypt.get_model_info(case.path, plugins=plugins)
    assert "trust" not in str(caught.value)


@pytest.mark.parametrize("kind", hostile())
def test_a_hostile_meta_is_refused(copy_of, plugins, capfd, kind):
    case = copy_of("nanogpt_char")
    (case.folder / "meta.pkl").write_bytes(hostile()[kind])
    with pytest.raises(FormatError, match=r"meta\.pkl"):
        mypt.get_model_info(case.path, plugins=plugins)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("form", [list, lambda chars: dict(enumerate(chars))])
def test_a_table_of_characters_may_be_a_list_and_smaller_than_the_model(copy_of, plugins, form):
    case = copy_of("nanogpt_char")
    chars = mypt.load(case.path, plugins=plugins).tokenizer.chars[:-3]
    meta = {"vocab_size": np.int64(len(chars)), "itos": form(chars)}
    (case.folder / "meta.pkl").write_bytes(pickle.dumps(meta))
    model = mypt.load(case.path, plugins=plugins)
    assert model.tokenizer.chars == chars
    assert model.config.vocab_size == len(chars) + 3
    assert model.generate(chars[0], 20, seed=1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_dicts_of_every_protocol_are_read(tmp_path, protocol):
    held = {"vocab_size": 3, "itos": {0: "\n", 1: "é", 2: "😀"}, "stoi": {"\n": 0, "é": 1, "😀": 2}}
    data = pickle.dumps(held, protocol)
    for number, version in enumerate((data, pickletools.optimize(data))):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(version)
        assert read_plain_pickle(path, path.name) == held


@pytest.mark.parametrize(
    "change",
    [
        {"config": [1]},
        {"iter_num": "many"},
        {"model_args": {**ARGS, "n_layer": 10**9}},
        {"model_args": {**ARGS, "n_layer": 100000}},
        {"model_args": {**ARGS, "n_embd": 2**31 - 1, "n_head": 1}},
        {"model": {"transformer.wte.weight": "text"}},
    ],
)
def test_a_file_of_strange_values_is_refused(copy_of, plugins, change):
    case = copy_of("nanogpt_char")
    contents = torch.load(case.path, weights_only=True)
    torch.save({**contents, **change}, case.path)
    with pytest.raises(FormatError):
        mypt.get_model_info(case.path, plugins=plugins)


@pytest.mark.parametrize("change", ["groups", "numbers", "beyond"])
def test_an_optimizer_state_that_is_grouped_otherwise_trains_nothing(copy_of, plugins, change):
    case = copy_of("nanogpt_char")
    contents = torch.load(case.path, weights_only=True)
    first, second = (group["params"] for group in contents["optimizer"]["param_groups"])
    if change == "groups":
        second.insert(0, first.pop())
    elif change == "numbers":
        first.reverse()
    else:
        contents["optimizer"]["state"][-1] = contents["optimizer"]["state"].pop(0)
    torch.save(contents, case.path)
    (warning,) = mypt.get_model_info(case.path, plugins=plugins)["warnings"]
    assert "the optimizer state" in warning
    with pytest.raises(FormatError, match="the optimizer state"):
        open_checkpoint(case.path, plugins).optimizer()
