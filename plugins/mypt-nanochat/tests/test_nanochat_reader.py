import json
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import mypt
from mypt.plugins import FormatError
from mypt.plugins.manager import load_plugins
from mypt.testing import check_reader

FIXTURE = Path(__file__).parents[4] / "shared" / "fixtures" / "neighbours" / "nanochat_d2"
needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_dir(), reason="the checkpoints of neighbours are not beside this checkout"
)


@pytest.fixture(scope="module")
def factory():
    """The reader as an installed plugin offers it: through its entry point."""
    return load_plugins().readers["nanochat"]


@pytest.fixture(scope="module")
def expected():
    return json.loads((FIXTURE / "expected.json").read_text())


@needs_fixture
@pytest.mark.parametrize(
    "place", [".", "base_checkpoints/d2", "base_checkpoints/d2/model_000003.pt"]
)
def test_the_logits_and_ids_are_nanochats(expected, place):
    assert place in (expected["load"], *expected["also"])
    model = mypt.load(FIXTURE / place)
    with torch.no_grad():
        logits = model(torch.tensor([expected["prompt_ids"]]))
    wanted = torch.from_numpy(np.load(FIXTURE / expected["logits_file"]))
    torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=0)
    tokenizer = model.need_tokenizer()
    ids = tokenizer.encode(expected["prompt_text"])
    assert ids == expected["text_ids"]
    assert [*model.begin_ids, *ids] == expected["prompt_ids"]
    assert tokenizer.decode(ids) == expected["prompt_text"]


@needs_fixture
@pytest.mark.parametrize("place", [".", "base_checkpoints/d2"])
def test_the_fixture_goes_the_whole_way(factory, place):
    check_reader(factory, FIXTURE / place, {"tokenizer": "none"}, plugins=load_plugins())


def test_a_folder_goes_the_whole_way(factory, base):
    check_reader(factory, base(), plugins=load_plugins())


SIZES = {
    "plain": {},
    "as many keys as queries": {"n_kv_head": 4, "n_layer": 3},
    "one head of keys, no rows beyond": {"n_kv_head": 1, "vocab_size": 320},
    "windows": {"sequence_len": 300, "window_pattern": "SsL", "n_layer": 4},
    "windows that are all": {"sequence_len": 100, "window_pattern": "S", "n_layer": 3},
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_logits_are_those_of_its_formulas(base, sizes):
    folder = base("chatsft_checkpoints/d4", **sizes)
    tokenizer = {} if "vocab_size" not in sizes else {"tokenizer": "none"}
    model = mypt.load(folder, options=tokenizer)
    (weights,) = folder.glob("*/*/model_*.pt")
    known = json.loads(next(folder.glob("*/*/meta_*.json")).read_text())["model_config"]
    generator = torch.Generator().manual_seed(1)
    idx = torch.randint(known["vocab_size"], (2, known["sequence_len"]), generator=generator)
    with torch.no_grad():
        wanted = compute_logits(torch.load(weights, weights_only=True), known, idx)
        torch.testing.assert_close(model(idx), wanted, atol=2e-5, rtol=0)
        cache, found = model.make_cache(), []
        for piece in torch.split(idx, [1, 5, known["sequence_len"] - 8, 1, 1], dim=1):
            found.append(model(piece, cache))
    torch.testing.assert_close(torch.cat(found, dim=1), wanted, atol=2e-5, rtol=0)


def compute_logits(weights, sizes, idx):
    """The formulas of nanochat's model, written down plainly: no cache, masks for all."""
    layers, heads, groups = sizes["n_layer"], sizes["n_head"], sizes["n_kv_head"]
    length, width = idx.size(1), sizes["n_embd"] // sizes["n_head"]
    angles = torch.outer(torch.arange(length), 1e5 ** -(torch.arange(0, width, 2) / width))
    back = torch.arange(length)[:, None] - torch.arange(length)
    short = math.ceil(sizes["sequence_len"] / 4 / 128) * 128

    def norm(x):
        return x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()

    def split(x, name, count):
        return F.linear(x, weights[name]).unflatten(-1, (count, width)).transpose(1, 2)

    def turn(x):
        a, b = x.chunk(2, dim=-1)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)

    x = norm(weights["transformer.wte.weight"][idx])
    gate = torch.sigmoid(F.linear(x[:, 1:, :24], weights["smear_gate.weight"]))
    smeared = x[:, 1:] + weights["smear_lambda"] * gate * x[:, :-1]
    x = first = torch.cat([x[:, :1], smeared], dim=1)
    for layer in range(layers):
        place = f"transformer.h.{layer}"
        x = weights["resid_lambdas"][layer] * x + weights["x0_lambdas"][layer] * first
        y = norm(x)
        q = split(y, f"{place}.attn.c_q.weight", heads)
        k = split(y, f"{place}.attn.c_k.weight", groups)
        v = split(y, f"{place}.attn.c_v.weight", groups)
        if (layers - 1 - layer) % 2 == 0:
            vectors = weights[f"value_embeds.{layer}.weight"][idx]
            gate = 3 * torch.sigmoid(F.linear(y[..., :12], weights[f"{place}.attn.ve_gate.weight"]))
            vectors = vectors.unflatten(-1, (groups, width)) * gate[..., None]
            v = v + vectors.transpose(1, 2)
        q, k = 1.2 * norm(turn(q)), 1.2 * norm(turn(k))
        pattern = sizes["window_pattern"].upper()
        is_short = pattern[layer % len(pattern)] == "S" and layer < layers - 1
        seen = (back >= 0) & (back <= (short if is_short else sizes["sequence_len"]))
        k, v = (part.repeat_interleave(heads // groups, dim=1) for part in (k, v))
        scores = (q @ k.mT / width**0.5).masked_fill(~seen, -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + F.linear(mixed, weights[f"{place}.attn.c_proj.weight"])
        inner = F.linear(norm(x), weights[f"{place}.mlp.c_fc.weight"]).relu().square()
        x = x + F.linear(inner, weights[f"{place}.mlp.c_proj.weight"])
        if layer == layers // 2:
            middle = x
    x = norm(x - weights["backout_lambda"] * middle)
    logits = F.linear(x, weights["lm_head.weight"])[..., : sizes["vocab_size"]]
    return 15 * torch.tanh(logits / 15)


def test_the_last_step_is_read_and_said(base, run_mypt):
    base(step=7)
    folder = base(step=12)
    code, out, said = run_mypt("format", "migrate", folder, "--output", "ours")
    assert code == 0, out + said
    for line in (
        "read from model_000012.pt, after 12 steps",
        "there is no state of the optimizer: training begins with a fresh one",
        "rows 300 ... 319 of the vocabulary are left out: nanochat never reads them",
    ):
        assert line in out + said
    code, out, said = run_mypt("format", "validate", "ours")
    assert code == 0, out + said
    code, out, said = run_mypt("generate", "--model_name", "ours", "--prompt", "the cat")
    assert code == 0, out + said


def test_a_model_that_was_saved_compiled_is_the_same(base):
    plain, idx = mypt.load(base()), torch.arange(9)[None]
    compiled = mypt.load(
        base("base_checkpoints/compiled", prefix="_orig_mod.") / "base_checkpoints/compiled"
    )
    assert torch.equal(plain(idx), compiled(idx))


def test_of_several_models_one_is_asked_for(base, run_mypt):
    base("base_checkpoints/d4")
    folder = base("base_checkpoints/d6", n_layer=3)
    code, out, said = run_mypt("inspect", folder)
    assert code == 1
    assert "holds 2 models: base_checkpoints/d4, base_checkpoints/d6" in out + said
    assert "--option model=base_checkpoints/d6" in out + said
    assert mypt.load(folder, options={"model": "base_checkpoints/d6"}).config.n_layer == 3
    with pytest.raises(FormatError, match="holds 2 models"):
        mypt.load(folder, options={"model": "base_checkpoints/d8"})


def test_without_its_tokenizer_it_is_asked_for(base):
    folder = base()
    kept = folder / "elsewhere.pkl"
    (folder / "tokenizer" / "tokenizer.pkl").rename(kept)
    with pytest.raises(FormatError, match=r"--option tokenizer=tokenizer.pkl, or .*tokenizer=none"):
        mypt.load(folder)
    assert mypt.load(folder, options={"tokenizer": "none"}).tokenizer is None
    assert mypt.load(folder, options={"tokenizer": str(kept)}).need_tokenizer().n_vocab == 300


def test_the_tokenizer_of_another_model_is_refused(base):
    with pytest.raises(FormatError, match="has 300 ids, but the model has 310; name the tokenizer"):
        mypt.load(base(vocab_size=310))


class Trap:
    def __init__(self, place):
        self.place = str(place)

    def __reduce__(self):
        return os.mkdir, (self.place,)


def test_a_hostile_pickle_runs_nothing(base, tmp_path):
    folder, sprung = base(), tmp_path / "sprung"
    path = folder / "tokenizer" / "tokenizer.pkl"
    whole = path.read_bytes()
    for data in (pickle.dumps(Trap(sprung)), whole[:-1] + pickle.dumps(Trap(sprung))[2:]):
        path.write_bytes(data)
        with pytest.raises(FormatError, match=r"tokenizer\.pkl"):
            mypt.load(folder)
        assert not sprung.exists()


FORGED = {
    "no table": b"ranks",
    "ranks with a gap": {b"a": 1},
    "ranks that are no numbers": {b"a": "0"},
    "tokens that are text": {"a": 0},
}


@pytest.mark.parametrize("ranks", FORGED.values(), ids=FORGED)
def test_what_is_no_encoding_is_refused(base, ranks):
    folder = base()
    state = {"name": "x", "pat_str": ".", "mergeable_ranks": ranks, "special_tokens": {}}
    text = pickle.dumps(state, 4)[2:-1]  # without its protocol and its end
    start = b"\x80\x04\x8c\x0dtiktoken.core\x8c\x08Encoding\x93)\x81"
    (folder / "tokenizer" / "tokenizer.pkl").write_bytes(start + text + b"b.")
    with pytest.raises(FormatError, match=r"does not hold an encoding of tiktoken with ranks 0, 1"):
        mypt.load(folder)


def edit_meta(folder, change):
    (path,) = folder.glob("*/*/meta_*.json")
    document = json.loads(path.read_text())
    change(document["model_config"])
    path.write_text(json.dumps(document))


META = {
    "/model_config/rope: is not known to mypt-nanochat": lambda c: c.update(rope=False),
    "/model_config/n_layer: is 900, but the file of weights has only": lambda c: c.update(
        n_layer=900
    ),
    "/model_config/n_embd: is 0, not a positive": lambda c: c.update(n_embd=0),
    "/model_config/n_kv_head: is 3, which does not divide n_head": lambda c: c.update(n_kv_head=3),
    "/model_config/window_pattern: is 'SX', not": lambda c: c.update(window_pattern="SX"),
    "/model_config: does not hold the sizes of a model": lambda c: c.pop("n_head"),
}


@pytest.mark.parametrize("said", META)
def test_sizes_that_cannot_be_are_named(base, said):
    folder = base()
    edit_meta(folder, META[said])
    with pytest.raises(FormatError) as raised:
        mypt.load(folder)
    assert said in str(raised.value)


def test_a_pattern_that_is_missing_is_that_of_nanochat(base):
    folder = base(sequence_len=300, window_pattern="L")
    edit_meta(folder, lambda c: c.pop("window_pattern"))
    assert mypt.load(folder).config.sliding_window is None


@pytest.mark.parametrize("change", ["lacks smear_gate.weight", "has transformer.h.0.attn.bias"])
def test_another_version_of_nanochat_is_refused(base, change):
    folder = base()
    (path,) = folder.glob("*/*/model_*.pt")
    weights = torch.load(path)
    verb, name = change.split()
    if verb == "lacks":
        del weights[name]
    else:
        weights[name] = torch.zeros(3)
    torch.save(weights, path)
    with pytest.raises(FormatError, match=f"another version of nanochat.*: it {change}"):
        mypt.load(folder)


def test_a_tensor_of_another_shape_is_named_as_nanochat_names_it(base):
    folder = base()
    edit_meta(folder, lambda c: c.update(n_head=2))
    with pytest.raises(FormatError, match=r"transformer\.h\.0\.attn\.c_k\.weight: has shape"):
        mypt.load(folder)
