"""What `mypt.load` says of what a user of Python can mend."""

import pytest
import torch

import mypt
from mypt.format.rules.documents import document_problems
from mypt.model import transformer


@pytest.mark.parametrize("device", ["gpu", "cuda:99", torch.device("cuda:99")])
def test_a_device_that_is_not_there_is_named(bundle, device):
    with pytest.raises(mypt.MyptError, match=f"^device: `{device}` is not available here"):
        mypt.load(bundle, device=device)


@pytest.mark.parametrize(
    ("dtype", "is_of"),
    [
        ("bf16", torch.bfloat16),
        ("fp16", torch.float16),
        ("float32", torch.float32),
        (torch.float16, torch.float16),
        (None, torch.float32),
    ],
)
def test_weights_are_rounded_to_the_dtype_that_is_asked_for(bundle, dtype, is_of):
    model, exact = mypt.load(bundle, dtype=dtype), mypt.load(bundle)
    for rounded, whole in zip(model.parameters(), exact.parameters(), strict=True):
        assert rounded.dtype == is_of
        assert torch.equal(rounded, whole.to(is_of))
    cost = model.score("the cat sat on the mat").loss - exact.score("the cat sat on the mat").loss
    assert abs(cost) < 0.02
    assert (cost == 0) == (is_of == torch.float32)
    (one,) = model.generate_many(["the"], 20, temperature=0)
    assert len(one.ids) == 20


@pytest.mark.parametrize("dtype", ["int8", "half", torch.int64, torch.float64, 16])
def test_a_dtype_that_no_model_computes_in_is_refused(bundle, dtype):
    with pytest.raises(mypt.MyptError, match=r"^dtype: is .*; make it float32, bf16 or fp16, or a"):
        mypt.load(bundle, dtype=dtype)


def test_a_device_may_be_torchs_own(bundle):
    assert mypt.load(bundle, device=torch.device("cpu")).generate("the", 1)


def test_what_a_bundle_does_not_ask_for_is_named_as_it_is_in_python(bundle):
    with pytest.raises(
        mypt.MyptError, match=r"^options/lora_alpha: only applies to checkpoints of other programs"
    ):
        mypt.load(bundle, options={"lora_alpha": 32.0})


def test_an_option_that_a_reader_lacks_is_named_as_it_is_in_python(fixtures):
    with pytest.raises(mypt.MyptError, match=r"^options/alpha: is not an option of the reader"):
        mypt.load(fixtures / "mypt" / "legacy_latest_char", options={"alpha": 3})


def test_the_config_of_a_bundle_is_checked_once(bundle, monkeypatch):
    checked = []

    def check(kind, *args):
        checked.append(kind)
        return document_problems(kind, *args)

    monkeypatch.setattr(transformer, "document_problems", check)
    model = mypt.load(bundle)
    assert checked == []
    mypt.GPT(model.config)  # by whoever has it now
    assert checked == ["config"]
