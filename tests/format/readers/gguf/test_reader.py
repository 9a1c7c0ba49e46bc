import numpy as np
import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.format.readers.gguf import reader
from mypt.format.readers.gguf.architectures import ARCHITECTURES
from mypt.format.readers.read import describe
from mypt.format.validate import validate

gguf = pytest.importorskip("gguf")
from tests.support import gguf_files  # noqa: E402 - it imports the package
from tests.support.gguf_files import NEIGHBOURS, Source, write_file, write_neighbour  # noqa: E402

pytestmark = pytest.mark.skipif(
    not NEIGHBOURS.is_dir(), reason="the checkpoints of neighbours are not beside this checkout"
)

FOLDERS = {
    "hf2_gpt2_hidden_names": "gpt2",
    "hf_falcon": "falcon",
    "hf_gemma": "gemma",
    "hf_gemma2": "gemma2",
    "hf_gpt_neox": "gptneox",
    "hf_granite": "granite",
    "hf_llama_gqa": "llama",
    "hf_llama_rope_llama3": "llama",
    "hf_llama_rope_yarn": "llama",
    "hf_olmo2": "olmo2",
    "hf_phi": "phi2",
    "hf_phi3": "phi3",
    "hf_qwen2": "qwen2",
    "hf_qwen3": "qwen3",
    "hf_smollm3": "smollm3",
    "hf_stablelm": "stablelm",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gguf"


def compute(path, prompt, plugins, **options):
    model = mypt.load(path, plugins=plugins, options=options)
    with torch.no_grad():
        return model(torch.tensor([prompt]))[0].numpy()


def find_errors(path, plugins):
    found = validate(path, plugins.layouts, tuple(plugins.readers.values()))
    return [problem for problem in found if problem.severity == "error"]


@pytest.mark.parametrize("name", FOLDERS)
def test_an_architecture_has_the_logits_of_its_program(name, path, plugins):
    source = write_neighbour(path, name, FOLDERS[name])
    found = compute(path, source.prompt, plugins)
    np.testing.assert_allclose(found, source.logits, atol=1e-5, rtol=0)
    assert find_errors(path, plugins) == []


def test_every_architecture_that_has_a_neighbour_is_tried():
    assert ARCHITECTURES.keys() - set(FOLDERS.values()) == {"gemma3", "olmo", "starcoder2"}


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("name", ["hf_llama_gqa", "hf2_gpt2_hidden_names"])
def test_a_quantized_file_has_the_logits_of_its_dequantized_weights(name, kind, path, plugins):
    source = Source.read(name)
    arch, keys = FOLDERS[name], gguf_files.list_keys(source, FOLDERS[name])
    tensors = gguf_files.convert_tensors(source, arch)
    own = gguf.GGMLQuantizationType[kind]
    fits = {n: array.shape[-1] % 32 == 0 for n, array in tensors.items()}
    kinds = {n: "F32" for n, fit in fits.items() if not fit and kind not in ("F16", "BF16")}
    write_file(path, arch, keys, tensors, kind=kind, kinds=kinds)
    found = compute(path, source.prompt, plugins)
    rounded = {
        n: array
        if n in kinds or array.ndim < 2
        else gguf.dequantize(gguf.quantize(array, own), own).reshape(array.shape)
        for n, array in tensors.items()
    }
    plain = path.with_name("plain.gguf")
    write_file(plain, arch, keys, rounded)
    np.testing.assert_allclose(found, compute(plain, source.prompt, plugins), atol=1e-5, rtol=0)
    assert np.abs(found - source.logits).max() > 1e-4


def test_version_2_is_read(path, plugins):
    source = write_neighbour(path, "hf_llama_gqa", "llama", version=2)
    np.testing.assert_allclose(
        compute(path, source.prompt, plugins), source.logits, atol=1e-5, rtol=0
    )


def test_queries_keys_and_values_may_be_one_tensor(path, plugins):
    source = Source.read("hf_qwen2")
    tensors = gguf_files.convert_tensors(source, "qwen2")
    for layer in range(2):
        for kind in ("weight", "bias"):
            parts = [tensors.pop(f"blk.{layer}.attn_{part}.{kind}") for part in "qkv"]
            tensors[f"blk.{layer}.attn_qkv.{kind}"] = np.concatenate(parts)
    write_file(path, "qwen2", gguf_files.list_keys(source, "qwen2"), tensors)
    found = compute(path, source.prompt, plugins)
    np.testing.assert_allclose(found, source.logits, atol=1e-5, rtol=0)


def test_a_window_of_a_mistral_counts(path, plugins):
    source = Source.read("hf_mistral")
    keys = gguf_files.list_keys(source, "llama")
    keys["attention.sliding_window"] = source.config["sliding_window"]
    write_file(path, "llama", keys, gguf_files.convert_tensors(source, "llama"))
    found = compute(path, source.prompt, plugins)
    np.testing.assert_allclose(found, source.logits, atol=1e-5, rtol=0)


def test_a_partial_rotation_takes_the_first_pairs_of_each_head(path, plugins):
    """Of an architecture that rotates pairs: the rows that are not rotated stay where they are."""
    source = Source.read("hf_stablelm")  # rotates 2 of 8 values, and halves are pairs there
    paired = gguf_files.convert_tensors(source, "stablelm")
    keys = gguf_files.list_keys(source, "stablelm") | {"rope.dimension_count": 2}
    write_file(path, "stablelm", keys, paired)
    found = compute(path, source.prompt, plugins)
    np.testing.assert_allclose(found, source.logits, atol=1e-5, rtol=0)


def test_files_of_one_model_say_the_same_config(path, plugins):
    source = write_neighbour(path, "hf_llama_rope_llama3", "llama")
    info = mypt.get_model_info(path, plugins=plugins)
    scaling = info["config"]["rope_scaling"]
    wanted = source.config["rope_parameters"]
    assert scaling["original_block_size"] == wanted["original_max_position_embeddings"]
    assert [scaling[name] for name in ("factor", "low_freq_factor", "high_freq_factor")] == [
        wanted[name] for name in ("factor", "low_freq_factor", "high_freq_factor")
    ]
    assert info["config"]["norm_eps"] == 1e-6


def test_parts_of_several_types_become_one_that_holds_all(path, plugins):
    kinds = {"blk.0.attn_q.weight": "F16", "blk.0.attn_k.weight": "Q8_0"}
    write_neighbour(path, "hf_llama_gqa", "llama", kinds=kinds)
    described = open_checkpoint(path, plugins)
    weights = described.weights()
    assert weights["blocks.0.sa.qkv.weight"].dtype == torch.float32
    readers = plugins.readers["gguf"]
    infos = describe(path, readers, plugins.layouts, {}).tensors
    assert {name: f"torch.{info.dtype}" for name, info in infos.items()} == {
        name: str(tensor.dtype) for name, tensor in weights.items()
    }


def test_what_is_quantized_is_told_of(path, plugins):
    kinds = {"blk.0.ffn_gate.weight": "Q4_0", "blk.1.ffn_gate.weight": "Q8_0"}
    write_neighbour(path, "hf_llama_gqa", "llama", kinds=kinds)
    notes = mypt.get_model_info(path, plugins=plugins)["notes"]
    assert "the tensors of Q4_0 and Q8_0 are dequantized to float32" in notes


# What is wrong is refused.


class Broken:
    """The file of a model, with something changed."""

    def __init__(self, path, plugins, name="hf_llama_gqa"):
        self.path, self.plugins = path, plugins
        self.arch = FOLDERS[name]
        source = Source.read(name)
        self.keys = gguf_files.list_keys(source, self.arch)
        self.tensors = gguf_files.convert_tensors(source, self.arch)
        self.more = {}

    def check_refused(self, reason):
        write_file(self.path, self.arch, self.keys, self.tensors, more=self.more)
        for door in (mypt.load, mypt.get_model_info):
            with pytest.raises(FormatError, match=reason):
                door(self.path, plugins=self.plugins)
        assert find_errors(self.path, self.plugins)


@pytest.fixture
def broken(path, plugins):
    return Broken(path, plugins)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_model_without_one_of_its_tensors_is_refused(name, path, plugins):
    """But for an output layer that stands in for itself, and norms that make another model."""
    whole = Broken(path, plugins, name)
    optional = {"output.weight"} if whole.arch not in ("phi2", "stablelm", "gptneox") else set()
    optional |= {"rope_freqs.weight"}
    for gone in whole.tensors:
        if gone in optional:
            continue
        write_file(
            path, whole.arch, whole.keys, {n: t for n, t in whole.tensors.items() if n != gone}
        )
        with pytest.raises(FormatError):
            mypt.get_model_info(path, plugins=plugins)


def test_a_renamed_tensor_is_refused(broken):
    broken.tensors["blk.1.ffn_gates.weight"] = broken.tensors.pop("blk.1.ffn_gate.weight")
    broken.check_refused("blk.1.ffn_gate.weight: is missing")


def test_a_tensor_of_another_shape_is_refused(broken):
    broken.tensors["blk.1.ffn_gate.weight"] = np.zeros((47, 32), np.float32)
    broken.check_refused(r"blk.1.ffn_gate.weight: has shape \(47, 32\), not \(48, 32\)")


def test_a_tensor_that_no_model_has_is_refused(broken):
    broken.tensors["blk.0.ffn_gate_inp.weight"] = np.zeros((4, 32), np.float32)
    broken.check_refused("blk.0.ffn_gate_inp.weight: does not belong")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention.head_count", 8),
        ("attention.head_count_kv", 4),
        ("attention.head_count_kv", 3),
        ("attention.key_length", 16),
        ("embedding_length", 64),
        ("block_count", 1),
        ("block_count", 3),
        ("block_count", 2**31 - 1),
        ("feed_forward_length", 96),
        ("vocab_size", 127),
        ("context_length", 0),
    ],
)
def test_a_lying_key_is_refused(key, value, broken):
    broken.keys[key] = value
    if key == "attention.head_count":  # 8 heads of 4 are as many rows: the groups tell
        broken.keys["attention.head_count_kv"] = 3
    broken.check_refused("model")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("expert_count", 8, "llama.expert_count: is 8; mypt knows"),
        ("attn_logit_softcapping", 50.0, "llama.attn_logit_softcapping: is 50"),
        ("final_logit_softcapping", 30.0, "llama.final_logit_softcapping: is 30"),
        ("attention.clamp_kqv", 8.0, "llama.attention.clamp_kqv: is 8"),
        ("attention.max_alibi_bias", 8.0, "llama.attention.max_alibi_bias: is 8"),
        ("attention.causal", False, "llama.attention.causal: is false"),
        ("attention.scale", 0.5, "llama.attention.scale: is not known to mypt"),
        ("attention.value_length", 16, "llama.attention.value_length: is not the 8 of"),
        ("logit_scale", 0.5, "llama.logit_scale: is not known to mypt"),
        ("rope.scaling.type", "longrope", "llama.rope.scaling.type: is 'longrope'"),
        ("rope.scaling.attn_factor", 1.2, "llama.rope.scaling.attn_factor: is 1.2"),
        ("rope.scaling.yarn_ext_factor", 0.5, "yarn_ext_factor: is 0.5"),
        ("rope.scaling.yarn_log_multiplier", 0.1, "yarn_log_multiplier: is 0.1"),
        ("rope.dimension_count", 4, "llama.rope.dimension_count: is 4, not the whole 8"),
        ("rope.freq_base", "much", "llama.rope.freq_base: is 'much', not a number"),
        ("whatever", 1, "llama.whatever: is not known to mypt"),
        ("attention.head_count", [4, 2], "llama.attention.head_count: differs between layers"),
    ],
)
def test_a_key_that_changes_what_is_computed_is_refused(key, value, reason, broken):
    broken.keys[key] = value
    broken.check_refused(reason)


def test_keys_without_effect_are_passed_over(path, plugins):
    source = Source.read("hf_llama_gqa")
    keys = gguf_files.list_keys(source, "llama") | {
        "expert_count": 0,
        "attention.causal": True,
        "tensor_data_layout": "Meta AI original pth",
        "attention.layer_norm_epsilon": 0.5,
        "attention.head_count": [4, 4],
        "rope.scaling.type": "none",
        "rope.scaling.factor": 4.0,
        "rope.scaling.finetuned": False,
    }
    more = {"general.name": "x", "general.file_type": 0, "quantize.imatrix.file": "y"}
    write_file(path, "llama", keys, gguf_files.convert_tensors(source, "llama"), more=more)
    found = compute(path, source.prompt, plugins)
    np.testing.assert_allclose(found, source.logits, atol=1e-5, rtol=0)


def test_linear_scaling_divides_positions(path, plugins):
    source = Source.read("hf_llama_gqa")
    tensors = gguf_files.convert_tensors(source, "llama")
    keys = gguf_files.list_keys(source, "llama")
    for scaling in (
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
        {"rope.scale_linear": 4.0},
    ):
        write_file(path, "llama", keys | scaling, tensors)
        assert mypt.get_model_info(path, plugins=plugins)["config"]["rope_scale"] == 4.0


def test_divisors_of_no_rule_are_refused(broken):
    broken.tensors["rope_freqs.weight"] = np.array([1, 3, 2, 4], np.float32)
    broken.check_refused("rope_freqs.weight: divides the rotary frequencies by no rule")


def test_divisors_of_one_change_nothing(path, plugins):
    source = Source.read("hf_llama_gqa")
    tensors = gguf_files.convert_tensors(source, "llama")
    tensors["rope_freqs.weight"] = np.ones(4, np.float32)
    write_file(path, "llama", gguf_files.list_keys(source, "llama"), tensors)
    found = compute(path, source.prompt, plugins)
    np.testing.assert_allclose(found, source.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("general.type", "adapter", "general.type: is 'adapter', not a model"),
        ("split.count", 3, "split.count: is 3: the file is one part"),
    ],
)
def test_what_is_no_whole_model_is_refused(key, value, reason, broken):
    broken.more[key] = value
    broken.check_refused(reason)


def test_blocks_of_another_version_are_refused(path, plugins):
    kinds = {"blk.0.ffn_gate.weight": "Q8_0"}
    more = {"general.quantization_version": 1}
    write_neighbour(path, "hf_llama_gqa", "llama", kinds=kinds, more=more)
    with pytest.raises(FormatError, match=r"quantization_version: is 1; mypt reads 2"):
        mypt.load(path, plugins=plugins)


def test_another_architecture_is_refused_by_name(path, plugins):
    gguf_files.write_file(path, "mamba", {"context_length": 8}, {"x": np.zeros((2, 2), "f4")})
    assert reader.recognises(path)
    assert reader.defers(path)
    with pytest.raises(FormatError, match=r"architecture: is 'mamba'; mypt reads gpt2"):
        mypt.load(path, plugins=plugins)


def test_a_damaged_file_is_told_by_its_name_at_every_door(path, plugins):
    source = write_neighbour(path, "hf_llama_gqa", "llama")
    assert source.prompt
    path.write_bytes(path.read_bytes()[:-200])
    for door in (mypt.load, mypt.get_model_info):
        with pytest.raises(FormatError, match=r"model\.gguf: has \d+ bytes, but its header"):
            door(path, plugins=plugins)


def test_looking_at_a_file_takes_no_torch(path):
    import subprocess
    import sys

    write_neighbour(path, "hf_llama_rope_llama3", "llama", kinds={"output.weight": "Q8_0"})
    code = (
        "import sys, mypt; mypt.get_model_info(sys.argv[1]); "
        "assert not {'torch', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
