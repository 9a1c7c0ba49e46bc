"""A model that begins with the weights of another one, and what it says of that."""

import shutil

import pytest
import torch
from attrs import evolve

from mypt.engine.checkpoints.build import build_model
from mypt.engine.checkpoints.write import weights_of
from mypt.engine.language_model import LanguageModel
from mypt.engine.training.start.initial_model import grow_vocabulary, start_from
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError, FormatError, UsageError
from mypt.format.open import open_checkpoint
from mypt.format.storage import files
from mypt.format.tensors.pt_file import read_header
from mypt.tokenizers.extension import NewTokens, extend_tokenizer

ALONE = dict.fromkeys(("block_size", "n_embd", "n_head", "n_layer", "dropout"))


@pytest.fixture
def base(train, in_tmp):
    """A trained model; gives its folder."""
    train("base", max_iters=6)
    return in_tmp / "checkpoints" / "base"


@pytest.fixture
def fine_tune(train):
    """Give what trains a model from the base, by default in its architecture."""

    def call(name="child", *, base="base", tokenization=None, **fields):
        fields = {**ALONE, "learning_rate": 1e-3, "max_iters": 2, **fields}
        return train(name, tokenization=tokenization, init_from_model=base, **fields)

    return call


def test_a_model_begins_with_the_weights_of_its_base(base, plugins):
    opened = open_checkpoint(base, plugins)
    ours = weights_of(start_from(opened, opened.config, plugins))
    assert all(torch.equal(ours[name], tensor) for name, tensor in opened.weights().items())


def test_training_it_leaves_the_base_alone(base, fine_tune, saved, digests):
    before = digests("base")
    fine_tune()
    assert digests("base") == before
    assert not torch.equal(saved("child")["ln_f.weight"], saved("base")["ln_f.weight"])


def test_its_first_evaluation_is_the_last_one_of_its_base(base, fine_tune, logged):
    fine_tune()
    assert logged("child", "eval")[0]["val_loss"] == logged("base", "eval")[-1]["val_loss"]


def test_it_counts_its_own_steps_with_an_optimizer_of_its_own(base, fine_tune, in_tmp):
    state = fine_tune()
    assert (state.step, state.tokens_processed, state.exact) == (2, 32, True)
    (moments, *_) = read_bundle(in_tmp / "checkpoints" / "child").optimizer()["state"].values()
    assert int(moments["step"]) == 2


def test_architecture_and_tokenizer_are_those_of_the_base(base, fine_tune, in_tmp):
    (in_tmp / "input.txt").write_text("the cat sat on a mat. " * 50)
    fine_tune()
    ours, theirs = (read_bundle(in_tmp / "checkpoints" / name) for name in ("child", "base"))
    assert ours.tokenizer == theirs.tokenizer
    assert ours.config == theirs.config


def test_lineage_names_base_step_and_digest_of_its_weights(base, fine_tune):
    digest = files.digest_file(base / "model.pt", "model.pt")
    (ancestor,) = fine_tune().lineage
    assert (ancestor.model, ancestor.step, ancestor.sha256) == ("base", 6, digest)


def test_lineage_goes_back_over_generations_and_survives_a_resume(base, fine_tune, train):
    fine_tune(base=str(base))
    state = fine_tune("grandchild", base="child")
    assert [(a.model, a.step) for a in state.lineage] == [("checkpoints/base", 6), ("child", 2)]
    again = train("grandchild", max_iters=3)
    assert again.lineage == state.lineage


def test_gold_of_another_model_can_be_a_base(base, fine_tune):
    (ancestor,) = fine_tune(base="base_gold").lineage
    assert ancestor.model == "base_gold"


def test_the_three_files_that_people_share_are_enough(base, fine_tune):
    for name in ("manifest.json", "training_state.json", "optimizer.pt"):
        (base / name).unlink()
    (ancestor,) = fine_tune().lineage
    assert ancestor.step == 0


def test_another_tokenizer_is_refused(base, fine_tune, in_tmp):
    with pytest.raises(
        ConfigError, match="tokenization: is gpt2, but base uses the tokenizer char"
    ):
        fine_tune(tokenization="gpt2")
    assert not (in_tmp / "checkpoints" / "child").exists()


def test_a_text_with_letters_that_the_base_does_not_know_is_refused(base, fine_tune, in_tmp):
    (in_tmp / "input.txt").write_text("αβγ" * 100)
    with pytest.raises(Exception, match=r"input\.txt"):
        fine_tune()
    assert not (in_tmp / "checkpoints" / "child").exists()


def test_a_base_without_a_tokenizer_is_refused(base, fine_tune):
    (base / "tokenizer.json").unlink()
    (base / "manifest.json").unlink()
    with pytest.raises(FormatError, match=r"tokenizer\.json"):
        fine_tune()


def test_a_file_without_a_tokenizer_is_named_itself(base, plugins):
    file = base / "model.pt"
    opened = evolve(open_checkpoint(base, plugins), path=file, tokenizer=None)
    with pytest.raises(FormatError) as refused:
        opened.need_tokenizer()
    assert str(refused.value).startswith(f"{file}: has no tokenizer, and training needs")


def test_a_base_that_is_not_there_is_refused(fine_tune, base):
    with pytest.raises(UsageError, match="no checkpoint `nobody`"):
        fine_tune(base="nobody")


def test_a_shorter_context_keeps_the_first_positions(base, plugins):
    opened = open_checkpoint(base, plugins)
    model = start_from(opened, evolve(opened.config, block_size=4), plugins)
    ours = weights_of(model)["position_embedding_table.weight"]
    assert torch.equal(ours, opened.weights()["position_embedding_table.weight"][:4])


def test_a_longer_context_than_was_learned_is_refused(base, fine_tune):
    with pytest.raises(ConfigError, match="block_size: is 16, but base has learned 8 positions"):
        fine_tune(block_size=16)


def test_with_rope_the_context_may_grow(train, fine_tune, in_tmp):
    train("base", pos_encoding="rope", max_iters=1)
    fine_tune(block_size=16)
    assert read_bundle(in_tmp / "checkpoints" / "child").config.block_size == 16
    header = read_header(in_tmp / "checkpoints" / "child" / "model.pt", "model.pt")
    assert "position_embedding_table.weight" not in header.tensors()


def test_what_is_asked_for_and_cannot_be_is_said(base, fine_tune, capsys):
    fine_tune(n_layer=4, norm_type="rmsnorm", dropout=0.5, quiet=False)
    out = capsys.readouterr().out
    assert "n_layer 4 is ignored: base has 2" in out
    assert "norm_type rmsnorm is ignored: base has layernorm" in out
    assert "dropout" not in out
    assert "at its step 6" in out


def test_every_field_of_an_architecture_can_be_asked_for(base, fine_tune, capsys):
    fine_tune(mlp_hidden=64, attn_scale=0.3, tie_weights=True, head_bias=True, quiet=False)
    out = capsys.readouterr().out
    for name in ("mlp_hidden", "attn_scale", "tie_weights", "head_bias"):
        assert f"{name} " in out


def test_a_resume_does_not_begin_again_from_the_base(base, fine_tune, train, digests, capsys):
    fine_tune("whole", max_iters=4, eval_interval=100)
    shutil.rmtree(base)
    again = {**ALONE, "learning_rate": 1e-3, "max_iters": 4, "eval_interval": 100}
    state = train("whole", tokenization=None, init_from_model="base", **again)
    assert state.step == 4
    train("whole", tokenization=None, init_from_model="other", quiet=False, max_iters=5)
    assert "--init_from_model other is ignored" in capsys.readouterr().out


@pytest.mark.parametrize("options", [{}, {"tie_weights": True}])
def test_a_model_with_more_tokens_is_the_same_on_those_it_had(train, in_tmp, plugins, options):
    train("base", max_iters=2, **options)
    model = build_model(
        open_checkpoint(in_tmp / "checkpoints" / "base", plugins), plugins, cls=LanguageModel
    )
    before = model.need_tokenizer()
    wanted = NewTokens.of({"turn_end": "<|end|>", "user": "<|user|>"})
    grown = grow_vocabulary(model, extend_tokenizer(before, wanted, plugins))
    size = model.config.vocab_size
    assert grown.config == evolve(model.config, vocab_size=size + 2)
    idx = torch.tensor([before.encode("the cat")])
    with torch.no_grad():
        ours, theirs = grown(idx), model(idx)
    assert torch.equal(ours[..., :size], theirs)
    assert torch.allclose(ours[..., size], theirs.mean(-1), atol=1e-5)
    assert grown.tokenizer_state.special_tokens.turn_end == (size,)
    assert grown.tokenizer_state.special_token_encoder == {"<|end|>": size, "<|user|>": size + 1}
    assert grown.need_tokenizer().decode([size]) == "<|end|>"
