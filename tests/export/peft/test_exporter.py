"""Adapters of mypt compute the same in peft, beside the base as transformers has it."""

import pytest
import torch

import mypt
from mypt.api.export import export_model

IDX = torch.arange(12)[None]
# What peft says of the release of transformers, and of a target that is tied.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

LLAMA = {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm", "n_kv_head": 1}
GPT2 = {"mlp_type": "gelu_tanh", "bias": True}


@pytest.fixture
def make(tmp_path):
    """Give what makes a base and an adapter beside it, with values that tell."""

    def call(fields, targets=None):
        sizes = {"n_layer": 2, "n_embd": 32, "n_head": 2, "vocab_size": 40, "block_size": 16}
        mypt.GPT(mypt.GPTConfig(**sizes, **fields)).save(tmp_path / "base")
        model = mypt.load(tmp_path / "base").add_adapter(4, alpha=6, targets=targets)
        torch.manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.3)
        model.save(tmp_path / "ours")
        return model.eval()

    return call


@pytest.mark.parametrize("fields", [GPT2, LLAMA], ids=["gpt2", "llama"])
@pytest.mark.parametrize("targets", [None, ["q", "v", "proj"]], ids=["all", "parts"])
def test_the_logits_are_the_same_there_and_back(
    make, transformers, peft, tmp_path, fields, targets
):
    ours = make(fields, targets)(IDX)
    export_model(tmp_path / "base", "hf", tmp_path / "hf")
    notes = export_model(tmp_path / "ours", "peft", tmp_path / "peft")
    assert len(notes) == (fields is GPT2 and targets is not None)
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    torch.testing.assert_close(theirs(IDX).logits, ours, atol=1e-5, rtol=0)
    again = mypt.load(tmp_path / "peft", options={"base": str(tmp_path / "base")})
    torch.testing.assert_close(again(IDX), ours, atol=1e-5, rtol=0)


def test_other_exporters_get_the_merged_model(make, transformers, tmp_path):
    ours = make(LLAMA)(IDX)
    export_model(tmp_path / "ours", "hf", tmp_path / "hf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf").eval()
    torch.testing.assert_close(theirs(IDX).logits, ours, atol=1e-5, rtol=0)


def test_a_whole_model_is_refused(make, refused, tmp_path):
    make(GPT2)
    line = refused("export", tmp_path / "base", "--to", "peft", "--output", tmp_path / "out")
    assert "/adapter: is null: this is a whole model; export it by --to hf" in line
