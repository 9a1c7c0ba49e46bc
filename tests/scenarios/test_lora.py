"""Training an adapter beside a base: what is trained, kept and resumed."""

import re
import shutil
from pathlib import Path

import pytest
import torch

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError, FormatError
from mypt.format.validate import validate

ALONE = dict.fromkeys(("block_size", "n_embd", "n_head", "n_layer", "dropout"))
LORA = {"lora_rank": 2, "lora_alpha": 4.0}


@pytest.fixture
def base(bundle, in_tmp):
    """A trained model; gives its folder."""
    folder = in_tmp / "checkpoints" / "base"
    shutil.copytree(bundle, folder)
    return folder


@pytest.fixture
def tune(train):
    """Give what trains an adapter beside the base."""

    def call(name="tuned", **fields):
        fields = {**ALONE, **LORA, "init_from_model": "base", "max_iters": 4, **fields}
        return train(name, tokenization=None, eval_interval=2, **fields)

    return call


def test_the_adapter_alone_is_trained_and_saved(base, tune, saved, digests):
    before = digests("base")
    tune()
    adapter = saved("tuned")
    assert digests("base") == before
    assert all(name.endswith((".lora_A", ".lora_B")) for name in adapter)
    assert {*read_bundle(Path("checkpoints/tuned")).optimizer()["state"]} == {*adapter}
    assert adapter["blocks.0.sa.qkv.lora_A"].shape == (2, 32)
    assert adapter["blocks.1.sa.qkv.lora_B"].shape == (96, 2)
    assert all(tensor.any() for tensor in adapter.values())
    assert validate(Path("checkpoints/tuned"), checksums=True) == []


def test_an_adapter_begins_with_what_the_base_computes(base):
    model, idx = mypt.load("base"), torch.arange(12)[None]
    before = model(idx)
    assert torch.equal(model.add_adapter(4, targets=["q", "net.0"])(idx), before)
    assert {name.rpartition(".")[2] for name in model.state_dict()} == {"lora_A", "lora_B"}


def test_a_resumed_adapter_is_that_of_the_run_that_never_stopped(base, tune, stop_at, digests):
    options = {"dropout": 0.1, "lora_dropout": 0.2, "ema": 0.9, "lora_targets": ["q", "v", "proj"]}
    tune("whole", **options)
    stop_at(3)
    tune("parts", **options)
    stop_at(None)
    assert tune("parts").exact
    assert digests("parts") == digests("whole")
    assert digests("parts_gold") == digests("whole_gold")


def test_several_adapters_share_a_base(base, tune):
    tune("one")
    tune("two", seed=3, lora_targets=["net.0"])
    loaded = [mypt.load(name) for name in ("base", "one", "two")]
    idx = torch.arange(8)[None]
    first, second, third = (model(idx) for model in loaded)
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)


def test_a_merged_adapter_computes_the_same(base, tune, in_tmp):
    tune(lora_targets=["q", "v", "net.2"])
    model, idx = mypt.load("tuned"), torch.arange(12)[None]
    before = model(idx)
    whole = model.merge_adapter()
    torch.testing.assert_close(whole(idx), before)
    whole.save(in_tmp / "whole")
    torch.testing.assert_close(mypt.load(in_tmp / "whole")(idx), before)


def test_generation_has_the_adapter(base, tune):
    tune(learning_rate=0.1)
    model = mypt.load("tuned")
    options = {"max_new_tokens": 12, "temperature": 0}
    assert model.generate("line", **options) == model.generate("line", use_cache=False, **options)
    assert model.generate("line", **options) != mypt.load("base").generate("line", **options)


def test_a_base_with_other_weights_is_refused(base, tune):
    tune()
    mypt.load("base").save(base, overwrite=True)
    model = mypt.load("base")
    assert mypt.load("tuned")(torch.arange(4)[None]).shape == (1, 4, model.config.vocab_size)
    with torch.no_grad():
        model.ln_f.weight.add_(1)
    model.save(base, overwrite=True)
    with pytest.raises(FormatError, match="not the weights that the adapter was trained beside"):
        mypt.load("tuned")


def test_a_base_that_moved_can_be_named(base, tune, in_tmp):
    tune()
    base.rename(in_tmp / "elsewhere")
    (problem,) = validate(Path("checkpoints/tuned"))
    assert (problem.severity, problem.where) == ("warning", "/adapter/base")
    with pytest.raises(FormatError, match="looked for"):
        mypt.load("tuned")
    assert mypt.load("tuned", base=in_tmp / "elsewhere").config.adapter.rank == 2


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"init_from_model": None}, "lora_rank"),
        ({"lora_rank": 0}, "lora_alpha"),
        ({"lora_targets": ["w_up"]}, "lora_targets"),
        ({"lora_targets": ["qkv", "q"]}, "lora_targets"),
        ({"shard": True}, "shard"),
    ],
)
def test_an_adapter_that_cannot_be_is_refused_by_the_field(base, tune, fields, where):
    with pytest.raises(ConfigError) as raised:
        tune(**fields)
    assert raised.value.problems[0].where.startswith(where)
    assert not Path("checkpoints/tuned").exists()


def test_a_run_that_begins_with_an_adapter_has_its_weights_merged(base, tune, saved):
    tune()
    tune("whole", init_from_model="tuned", lora_rank=0, lora_alpha=None, max_iters=1)
    assert "lm_head.weight" in saved("whole")
    state = read_bundle(Path("checkpoints/whole")).training_state
    assert [ancestor.model for ancestor in state.lineage] == ["base", "tuned"]


def test_an_adapter_goes_on_in_a_run_of_its_own_beside_the_same_base(base, tune, saved):
    tune(max_iters=2)
    tune("on", init_from_model="tuned", max_iters=1, learning_rate=1e-9)
    before, after = saved("tuned"), saved("on")
    torch.testing.assert_close(dict(after), dict(before), atol=1e-6, rtol=0)
    with pytest.raises(ConfigError, match=r"lora_rank: is 3, but tuned .* merge tuned"):
        tune("other", init_from_model="tuned", lora_rank=3)


def test_what_the_adapter_is_cannot_change_in_a_resume(base, tune, capsys):
    tune()
    capsys.readouterr()
    tune(max_iters=5, lora_rank=7, quiet=False)
    assert "--lora_rank 7 is ignored: the saved model has 2" in capsys.readouterr().out


def test_a_loop_in_python_trains_and_saves_the_adapter(base, text, in_tmp):
    model = mypt.load("base").add_adapter(2, targets=["net.2"])
    loader = mypt.GPTDataLoader(model.config, model.need_tokenizer(), text=text)
    options = {"max_iters": 2, "eval_iters": 1, "quiet": True}
    state = model.fit(loader, checkpoint_dir=in_tmp / "checkpoints" / "own", **options)
    assert (state.step, state.training_config.lora_targets) == (2, ("net.2",))
    assert [ancestor.model for ancestor in state.lineage] == ["checkpoints/base"]
    idx = torch.arange(8)[None]
    assert torch.equal(mypt.load("own")(idx), model(idx))
    with pytest.raises(ConfigError, match="lora_rank: is for a model with an adapter"):
        mypt.load("base").fit(loader, lora_rank=2, start_step=0, **options)


def test_an_adapter_needs_a_base_that_is_somewhere(base):
    model = mypt.load("base")
    with torch.no_grad():
        model.ln_f.weight.add_(1)
    with pytest.raises(ConfigError, match="model: differs from its checkpoint"):
        model.add_adapter()
    with pytest.raises(ConfigError, match="model: is in no checkpoint"):
        mypt.GPT(mypt.GPTConfig(n_layer=1, n_embd=8, n_head=1, vocab_size=9)).add_adapter()


def test_the_commands_know_adapters(base, tune, cli, refused, in_tmp):
    tune()
    idx = torch.arange(8)[None]
    before = mypt.load("tuned")(idx)
    _, out, _ = cli("inspect", "tuned")
    assert re.search(r"Parameters: 2,048, an adapter \(LoRA of rank 2\) beside .*base\n", out)
    assert cli("merge", "tuned", "--output", "whole")[0] == 0
    torch.testing.assert_close(mypt.load(in_tmp / "whole")(idx), before)
    assert "is a whole model already" in refused("merge", "base", "--output", "x", code=2)
    base.rename(in_tmp / "elsewhere")
    assert "--base" in refused("generate", "tuned")
    assert cli("generate", "tuned", "--base", "elsewhere", "--max_new_tokens", 2)[0] == 0
    _, out, _ = cli("doctor", "tuned")
    assert "tuned (step 4): not whole; it serves for nothing" in out
    assert out.endswith("is no damage: do what is said of it above.\n")
