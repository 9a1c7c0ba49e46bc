import pytest

import mypt
from mypt.format.errors import FormatError
from tests.support.litgpt_models import CASES, check_logits, make_tensors, write_folder


@pytest.mark.parametrize("name", CASES)
def test_each_option_of_the_config_counts(tmp_path, plugins, name):
    tensors = make_tensors(CASES[name])
    folder = write_folder(tmp_path / "model", CASES[name], tensors)
    check_logits(folder, tensors, CASES[name], plugins)


def test_the_rows_that_are_not_said_are_rounded_up(tmp_path, plugins):
    config = CASES["llama"] | {"padded_vocab_size": None, "padding_multiple": 32}
    tensors = make_tensors(CASES["llama"])
    folder = write_folder(tmp_path / "model", config, tensors)
    assert mypt.load(folder, plugins=plugins).config.vocab_size == 64


def test_the_name_may_be_in_the_settings_of_hugging_face(tmp_path, plugins):
    tensors = make_tensors(CASES["gemma"])
    config = CASES["gemma"] | {"name": "", "hf_config": {"org": "google", "name": "Gemma-2b"}}
    folder = write_folder(tmp_path / "model", config, tensors)
    check_logits(folder, tensors, CASES["gemma"], plugins)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mlp_class_name": "LLaMAMoE"}, "/mlp_class_name: is LLaMAMoE; mypt has GptNeoxMLP"),
        ({"latent_attention": {"q_lora_rank": 4}}, "/latent_attention: is .*mypt knows .* null"),
        ({"first_k_dense_replace": 1}, "/first_k_dense_replace: is 1"),
        ({"n_expert_groups": 2}, "/n_expert_groups: is 2"),
        ({"norm_class_name": "GroupNorm"}, "/norm_class_name: is GroupNorm"),
        ({"norm_2": False}, "/norm_1: are .*norm_2=False.* which no block of mypt's has"),
        ({"parallel_residual": True, "post_mlp_norm": True}, "/norm_1: are .*post_mlp_norm=True"),
        ({"shared_attention_norm": True}, "shared_attention_norm=True, which no block"),
        ({"parallel_residual": "false"}, "parallel_residual: is 'false', not true or false"),
        (
            {"norm_qk": True, "norm_qk_type": "x"},
            "/norm_qk_type: is 'x', neither default nor olmo2",
        ),
        ({"n_query_groups": 3}, "/n_query_groups: is 3, which does not divide the 4 heads"),
        ({"n_head": 5, "n_query_groups": 5, "head_size": None}, "/n_head: is 5, which does not"),
        ({"attention_scores_scalar": -2}, "/attention_scores_scalar: is -2, not a positive number"),
        ({"attention_logit_softcapping": 0.0}, "attn_soft_cap"),
        ({"mlp_class_name": "GemmaMLP", "gelu_approximate": "x"}, "/gelu_approximate: is 'x'"),
        ({"intermediate_size": None}, "/intermediate_size: is missing"),
        ({"rope_basis": 1}, "/rope_basis: is not known to mypt .did you mean `rope_base`"),
        ({"n_layer": 4}, "declares 4 layers, but has only"),
        ({"n_layer": 2}, "does not belong to a model of this configuration"),
        ({"n_layer": 100000}, "declares 100000 layers, but has only"),
        ({"n_embd": 64}, "has shape"),
        ({"head_size": 16}, "has shape"),
        ({"padded_vocab_size": 128}, "has shape"),
        ({"bias": True}, "declares 3 layers, but has only"),
    ],
)
def test_a_config_that_lies_or_says_too_much_is_refused(tmp_path, plugins, changes, said):
    tensors = make_tensors(CASES["llama"])
    folder = write_folder(tmp_path / "model", CASES["llama"] | changes, tensors)
    with pytest.raises(FormatError, match=said):
        mypt.load(folder, plugins=plugins)
