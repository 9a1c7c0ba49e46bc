from functools import partial

import pytest

from mypt.format.errors import FormatError
from mypt.format.readers.gguf.architectures import ARCHITECTURES
from mypt.format.readers.gguf.model_keys import ModelKeys

VALUES = {
    "context_length": 64,
    "embedding_length": 36,
    "block_count": 12,
    "feed_forward_length": 48,
    "attention.head_count": 4,
    "attention.key_length": 16,
    "attention.value_length": 16,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "attention.layer_norm_epsilon": 1e-5,
}
SHAPES = {"token_embd.weight": (128, 36)}


def convert(name, **more):
    values = VALUES | {key.replace("__", "."): value for key, value in more.items()}
    keys = ModelKeys(name, values, "model.gguf")
    keys.check(ARCHITECTURES[name].keys)
    return ARCHITECTURES[name].convert_config(keys, SHAPES)


def test_gemma_scales_its_embedding():
    for name in ("gemma", "gemma2", "gemma3"):
        assert convert(name)["embedding_scale"] == 6.0


class TestGemma2:
    convert = staticmethod(partial(convert, "gemma2"))

    def test_it_has_caps_and_windows_where_its_file_says_nothing(self):
        found = self.convert()
        assert (found["attn_soft_cap"], found["logit_soft_cap"]) == (50.0, 30.0)
        assert (found["sliding_window"], found["window_pattern"]) == (4096, "SF")

    def test_a_cap_of_zero_is_none(self):
        assert self.convert(attn_logit_softcapping=0.0)["attn_soft_cap"] is None

    def test_the_largest_scales_attention_by_its_width(self):
        assert "attn_scale" not in self.convert()
        assert self.convert(block_count=46)["attn_scale"] == pytest.approx((36 / 4) ** -0.5)


class TestGemma3:
    convert = staticmethod(partial(convert, "gemma3"))

    def test_five_of_six_layers_are_windowed_and_rotate_otherwise(self):
        found = self.convert(attention__sliding_window=512, rope__freq_base=1e6)
        assert (found["sliding_window"], found["window_pattern"]) == (512, "SSSSSF")
        assert (found["rope_theta"], found["rope_theta_sliding"]) == (1e6, 10000.0)

    def test_a_file_may_say_which(self):
        pattern = "attention.sliding_window_pattern"
        more = {"attention__sliding_window": 512}
        assert self.convert(**more, **{pattern: 4})["window_pattern"] == "SSSF"
        layers = [True, False] * 6
        assert self.convert(**more, **{pattern: layers})["window_pattern"] == "SF" * 6
        for wrong in ([True], [1] * 12, 0, -3, "SF"):
            with pytest.raises(FormatError, match="sliding_window_pattern: "):
                self.convert(**more, **{pattern: wrong})

    def test_without_a_window_all_layers_see_everything(self):
        assert "sliding_window" not in self.convert()

    def test_the_base_of_windowed_layers_counts(self):
        more = {"attention__sliding_window": 8, "rope__freq_base_swa": 5000.0}
        assert self.convert(**more)["rope_theta_sliding"] == 5000.0

    def test_the_largest_scales_attention_by_its_width(self):
        assert self.convert(block_count=62)["attn_scale"] == pytest.approx((36 / 4) ** -0.5)


def test_granite_divides_its_logits():
    more = {"attention__scale": 0.5, "embedding_scale": 3.0, "residual_scale": 0.5}
    found = convert("granite", logit_scale=4.0, **more)
    wanted = {"attn_scale": 0.5, "embedding_scale": 3.0, "residual_scale": 0.5, "logit_scale": 0.25}
    assert wanted.items() <= found.items()


def test_granite_without_rotation_is_refused():
    with pytest.raises(FormatError, match=r"granite\.rope\.scaling\.finetuned: is false"):
        convert("granite", rope__scaling__finetuned=False)
    assert convert("llama", rope__scaling__finetuned=False)  # nobody else asks


def test_one_of_two_blocks_is_told_by_the_norms():
    for name, norm, blocks in (
        ("stablelm", "ffn_norm", ("parallel", "pre_norm")),
        ("falcon", "attn_norm_2", ("parallel", "parallel_two_norms")),
    ):
        keys = ModelKeys(name, VALUES, "")
        shapes = SHAPES | {f"blk.0.{norm}.weight": (36,)}
        found = [ARCHITECTURES[name].convert_config(keys, one) for one in (SHAPES, shapes)]
        assert tuple(fields["block_type"] for fields in found) == blocks


def test_neox_says_whether_its_parts_are_parallel():
    assert convert("gptneox", use_parallel_residual=True)["block_type"] == "parallel_two_norms"
    assert convert("gptneox", use_parallel_residual=False)["block_type"] == "pre_norm"
    with pytest.raises(FormatError, match="use_parallel_residual: is missing"):
        convert("gptneox")


def test_rope_means_nothing_where_positions_are_learned():
    found = convert("gpt2", rope__dimension_count=8, rope__freq_base=1.0)
    assert "rope_theta" not in found
