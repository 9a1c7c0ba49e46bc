"""The formula against counts by hand and by torch, and the table of peaks."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import mypt
from mypt.engine.runtime import mfu
from mypt.engine.runtime.mfu import PEAKS, flops_per_token, peak_flops, peak_of
from mypt.format.documents.training import TrainingConfig

SHAPE = {
    "n_layer": 2,
    "n_head": 4,
    "n_embd": 32,
    "block_size": 16,
    "vocab_size": 64,
    "dropout": 0.0,
}


def model_of(**fields):
    return mypt.GPT(mypt.GPTConfig(**{**SHAPE, **fields}))


def test_gpt2_has_the_operations_that_its_authors_count():
    """124M: 6 N + 12 L H Q T with N = 123,653,376, as nanoGPT's estimate_mfu has it."""
    config = mypt.GPTConfig(
        n_layer=12,
        n_head=12,
        n_embd=768,
        block_size=1024,
        vocab_size=50257,
        bias=True,
        tie_weights=True,
        head_bias=False,
    )
    with torch.device("meta"):
        model = mypt.GPT(config)
    n = 124_439_808 - 1024 * 768
    assert flops_per_token(model) == 6 * n + 12 * 12 * 768 * 1024


def test_a_table_that_nothing_is_multiplied_with_does_not_count():
    tied, untied = model_of(tie_weights=True), model_of(tie_weights=False)
    head_bias = 64 if untied.lm_head.bias is not None and tied.lm_head.bias is None else 0
    assert flops_per_token(untied) - flops_per_token(tied) == 6 * head_bias
    assert flops_per_token(model_of(pos_encoding="rope")) == flops_per_token(model_of())


def test_the_formula_is_what_torch_counts_but_for_biases_and_norms():
    model = model_of(tie_weights=False, attention_type="causal", bias=False)
    ids = torch.randint(64, (2, 16))
    with FlopCounterMode(display=False) as counted:
        model.loss(ids, ids).backward()
    per_token = counted.get_total_flops() / ids.numel()
    assert per_token == pytest.approx(flops_per_token(model), rel=0.1)


def test_what_the_formula_was_not_made_for_is_not_guessed():
    model = model_of()
    next(model.parameters()).requires_grad_(False)
    assert flops_per_token(model) is None
    assert flops_per_token(model_of(pos_encoding="rope", sliding_window=8)) is None


@pytest.mark.parametrize(
    ("name", "precision", "teraflops"),
    [
        ("NVIDIA A100-SXM4-80GB", "bf16", 312),
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "fp16", 756),
        ("NVIDIA H200", "tf32", 494.7),
        ("NVIDIA L4", "bf16", 121),
        ("NVIDIA L40S", "bf16", 362),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2),
        ("NVIDIA A10", "bf16", 125),
        ("Tesla V100-SXM2-32GB", "fp16", 125),
        ("Tesla V100-SXM2-32GB", "bf16", None),
        ("AMD Instinct MI300X", "bf16", 1307.4),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bf16", None),
        ("NVIDIA GeForce RTX 4090 D", "bf16", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", None),
        ("AVX2", "fp32", None),
    ],
)
def test_the_peak_is_that_of_the_data_sheet_or_unknown(name, precision, teraflops):
    wanted = None if teraflops is None else pytest.approx(teraflops * 1e12)
    assert peak_of(name, precision) == wanted


def test_peaks_are_dense_and_fall_with_precision():
    for name, peaks in PEAKS.items():
        assert peaks["fp16"] == peaks.get("bf16", peaks["fp16"]), name
        assert peaks["fp16"] >= peaks.get("tf32", 0) >= 0, name
        assert peaks["fp16"] > peaks["fp32"], name


def test_the_precision_is_that_of_the_run(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA A100-SXM4-80GB")
    gpu = torch.device("cuda")
    assert peak_flops(gpu, TrainingConfig()) == 312e12
    assert peak_flops(gpu, TrainingConfig(use_amp=False)) == 19.5e12
    monkeypatch.setattr(mfu.torch, "get_float32_matmul_precision", lambda: "high")
    assert peak_flops(gpu, TrainingConfig(use_amp=False)) == 156e12
    assert peak_flops(torch.device("cpu"), TrainingConfig()) is None
