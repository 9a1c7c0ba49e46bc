import json

import pytest
import torch
from attrs import evolve

import mypt
from mypt.export.gguf.exporter import EXPORTER
from mypt.format.errors import FormatError, UsageError
from mypt.format.tensors.gguf.header import read_header

FIELDS = {
    "block_size": 16,
    "n_embd": 48,
    "n_head": 2,
    "n_layer": 1,
    "vocab_size": 8,
    "pos_encoding": "rope",
    "norm_type": "rmsnorm",
    "mlp_type": "swiglu",
    "mlp_hidden": 64,
    "head_bias": False,
}


def make_model(**fields):
    torch.manual_seed(0)
    return mypt.GPT(mypt.GPTConfig(**FIELDS | fields))


def test_the_file_says_what_it_is(export):
    path, notes = export(make_model())
    header = read_header(path, path.name)
    held = {n: value for n, value in header.metadata.items() if not n.startswith("tokenizer.")}
    description = held.pop("general.description")
    assert description.startswith("trained with mypt and exported by mypt ")
    assert held.pop("llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-6)
    assert held == {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "model",
        "general.file_type": 0,
        "llama.context_length": 16,
        "llama.embedding_length": 48,
        "llama.block_count": 1,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 2,
        "llama.vocab_size": 8,
        "llama.rope.dimension_count": 24,
        "llama.rope.freq_base": 10000.0,
    }
    assert {tensor.type_name for tensor in header.tensors.values()} == {"F32"}
    assert notes == ["the file has no tokenizer: the model has none"]


def test_a_run_is_told_of(bundle, gguf, tmp_path, plugins):
    bundle = mypt.load(bundle)
    config = evolve(bundle.config, mlp_type="gelu_tanh", head_bias=False)
    model = mypt.GPT(config, bundle.tokenizer, plugins=plugins)
    loader = mypt.GPTDataLoader(config, bundle.tokenizer, text="the cat sat on the mat" * 20)
    model.fit(
        loader,
        max_iters=2,
        eval_interval=1,
        eval_iters=1,
        quiet=True,
        checkpoint_dir=tmp_path / "run",
    )
    mypt.export_model(tmp_path / "run", "gguf", tmp_path / "model.gguf", plugins=plugins)
    description = read_header(tmp_path / "model.gguf", "").metadata["general.description"]
    assert "; 2 updates; best validation loss " in description


@pytest.mark.parametrize(
    ("dtype", "types", "file_type"),
    [
        ("F16", {"F16"}, 1),
        ("bfloat16", {"BF16"}, 32),
        ("q8_0", {"Q8_0", "F16"}, 7),
    ],
)
def test_matrices_are_of_the_type_that_is_asked_for(dtype, types, file_type, export):
    path, notes = export(make_model(), dtype=dtype)
    header = read_header(path, path.name)
    matrices = [t for t in header.tensors.values() if len(t.info.shape) > 1]
    vectors = [t for t in header.tensors.values() if len(t.info.shape) == 1]
    assert {tensor.type_name for tensor in matrices} == types  # rows of 48 are in half precision
    assert {tensor.type_name for tensor in vectors} == {"F32"}
    assert header.metadata["general.file_type"] == file_type
    is_quantized = "Q8_0" in types
    assert header.metadata.get("general.quantization_version") == (2 if is_quantized else None)
    assert ("matrices whose rows are no multiple of 32 are stored in F16" in notes) == is_quantized


def test_the_type_is_that_of_the_model_unless_said_otherwise(export):
    path, _ = export(make_model().to(torch.float16))
    assert read_header(path, "").metadata["general.file_type"] == 1


def test_another_type_is_refused(export):
    with pytest.raises(UsageError, match="dtype"):
        export(make_model(), dtype="Q4_K")


def test_values_too_large_are_refused_and_nothing_is_left(export, tmp_path):
    model = make_model()
    with torch.no_grad():
        model.lm_head.weight[0, 0] = 1e6
    with pytest.raises(FormatError, match=r"output\.weight: has values beyond 65504"):
        export(model, dtype="F16")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_llama_cpp_cannot_compute_is_refused_before_anything_is_written(export, tmp_path):
    with pytest.raises(FormatError, match="with --mlp_type swiglu"):
        export(make_model(mlp_type="reglu"))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_tied_head_is_written_once_where_the_architecture_shares_it(export):
    path, _ = export(make_model(tie_weights=True))
    assert "output.weight" not in read_header(path, "").tensors


def test_biases_that_are_missing_are_zero(export):
    fields = {"mlp_type": "gelu_tanh", "pos_encoding": "learned", "norm_type": "layernorm"}
    path, _ = export(make_model(**fields))
    weights = mypt.load(path).state_dict()
    assert not weights["blocks.0.sa.qkv.bias"].any()


def test_the_chat_template_comes_along(gguf, tmp_path, plugins):
    tokenizer = plugins.tokenizer("char").train("abcdefgh")
    model = mypt.GPT(mypt.GPTConfig(**FIELDS), tokenizer, plugins=plugins)
    model.save(tmp_path / "bundle")
    file = tmp_path / "bundle" / "tokenizer.json"
    held = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(held | {"chat_template": "{{ messages }}"}), "utf-8")
    mypt.export_model(tmp_path / "bundle", "gguf", tmp_path / "m.gguf", plugins=plugins)
    assert read_header(tmp_path / "m.gguf", "").metadata["tokenizer.chat_template"] == (
        "{{ messages }}"
    )
    assert mypt.load(tmp_path / "m.gguf").tokenizer.state()["chars"] == list(tokenizer.chars)


def test_it_goes_through_the_hook(plugins):
    assert plugins.exporters["gguf"] is EXPORTER
