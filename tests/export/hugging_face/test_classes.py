"""Every config that a class of `transformers` can say is written for it, and comes back."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mypt
from mypt.export.hugging_face.classes import explain
from mypt.format.documents.config import GPTConfig
from tests.support.class_folders import (
    IDS,
    LLAMA,
    PLUGINS,
    SIZES,
    WRITTEN,
    YARN,
    check_way_back,
    check_written,
    make_model,
    write,
)


@pytest.mark.parametrize(("name", "fields"), WRITTEN)
def test_a_class_has_the_logits_of_the_model_and_the_tensors_come_back(
    transformers, tmp_path, name, fields
):
    check_written(name, fields, transformers, tmp_path / "hf")


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({**LLAMA, "head_bias": True}, ["/head_bias"]),
        ({**LLAMA, "qk_norm": "head", "attn_scale": 0.1}, ["/attn_scale"]),  # the norm undoes it
        ({**LLAMA, "embedding_norm": True}, ["/embedding_norm"]),
        ({**LLAMA, "attn_soft_cap": 3.0}, ["/attn_soft_cap"]),
        ({**LLAMA, "rope_scale": 2.0, "rope_scaling": YARN}, ["/rope_scale"]),
        ({"norm_type": "rmsnorm"}, ["/norm_type"]),
    ],
)
def test_what_no_class_computes_is_told_with_the_nearest_flag(fields, reasons):
    problems = explain(GPTConfig(**{**SIZES, **fields}))
    assert [problem.where for problem in problems] == reasons
    assert all("the nearest class of transformers" in problem.what for problem in problems)


def test_the_flag_says_what_the_nearest_class_has():
    (problem,) = explain(GPTConfig(**{**SIZES, **LLAMA, "head_bias": True}))
    assert "#/head_bias: is true; LlamaForCausalLM, the nearest class" in str(problem)
    assert "or train a model with --no_head_bias" in str(problem)
    (problem,) = explain(GPTConfig(**{**SIZES, **LLAMA, "attn_soft_cap": 3.0}))
    assert "is 3.0, which LlamaForCausalLM, the nearest class" in str(problem)
    assert "or train a model without --attn_soft_cap" in str(problem)


def test_a_scale_is_folded_into_queries_and_a_power_of_two_comes_back(transformers, tmp_path):
    for number, scale in enumerate((4 * 6**-0.5, 0.3)):
        folder = tmp_path / str(number)
        model = make_model({"attn_scale": scale})
        told = write(model, folder)
        assert told.notes == ("the scale of attention is multiplied into the queries",)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        back = mypt.load(folder, plugins=PLUGINS).eval()
        with torch.no_grad():
            for other in (theirs(IDS).logits, back(IDS)):
                torch.testing.assert_close(other, model(IDS), atol=1e-5, rtol=0)
        if scale != 0.3:
            check_way_back(model, folder)


FLAGS = st.sampled_from([None, False, True])
CONFIGS = st.fixed_dictionaries(
    {
        "pos_encoding": st.sampled_from(["rope", "learned"]),
        "norm_type": st.sampled_from(["rmsnorm", "layernorm"]),
        "mlp_type": st.sampled_from(["swiglu", "geglu_tanh", "gelu", "gelu_tanh", "relu"]),
        "block_type": st.sampled_from(["pre_norm", "pre_norm", "parallel", "sandwich_norm"]),
        **{f"{name}_bias": FLAGS for name in ("qkv", "proj", "mlp", "norm")},
        "tie_weights": st.booleans(),
    },
    optional={
        "n_kv_head": st.sampled_from([1, 2, 4]),
        "head_size": st.sampled_from([4, 10]),
        "sliding_window": st.integers(1, 20),
        "qk_norm": st.sampled_from(["head", "width"]),
        "norm_eps": st.floats(1e-8, 1e-2),
        "attn_scale": st.sampled_from([1.0, 0.5, 2 * 6**-0.5]),
        "logit_scale": st.floats(0.1, 10.0),
        "residual_scale": st.floats(0.1, 10.0),
        "n_layer": st.integers(1, 4),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=CONFIGS)
def test_what_is_written_comes_back_bit_by_bit(tmp_path_factory, fields):
    config = GPTConfig(**{**SIZES, **fields})
    if explain(config):
        return
    model = make_model(fields)
    folder = tmp_path_factory.mktemp("written") / "hf"
    told = write(model, folder)
    if not told.notes:  # a folded scale may be rounded
        check_way_back(model, folder)
