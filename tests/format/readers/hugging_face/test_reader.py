"""Small models of the real `transformers`, saved by it, give its logits in mypt."""

import json
import warnings

import pytest
import torch

import mypt
from mypt.format.errors import FormatError, UsageError
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.validate import is_valid, validate

IDS = torch.arange(20).reshape(2, 10) * 7 % 61
GPT2 = {"vocab_size": 61, "n_positions": 16, "n_embd": 12, "n_layer": 2, "n_head": 3}
GPT2 |= {"bos_token_id": None, "eos_token_id": None}
LLAMA = {
    "vocab_size": 61,
    "max_position_embeddings": 16,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "bos_token_id": None,
    "eos_token_id": None,
}
SCALED = {"rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 8}
LLAMA3 = {**SCALED, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {**SCALED, "rope_type": "yarn"}


@pytest.fixture
def saved(transformers, tmp_path):
    """Give a folder of a random model, and its logits."""

    def make(family, **changed):
        fields = {**(GPT2 if family == "gpt2" else LLAMA), **changed}
        cls, config = {
            "gpt2": (transformers.GPT2LMHeadModel, transformers.GPT2Config),
            "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig),
        }[family]
        torch.manual_seed(3)
        model = cls(config(**fields)).eval()
        for p in model.parameters():
            torch.nn.init.normal_(p, std=0.3)
        model.save_pretrained(tmp_path / family)
        with torch.no_grad():
            return tmp_path / family, model(IDS).logits

    return make


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"activation_function": "relu", "n_inner": 20, "layer_norm_epsilon": 1e-3},
        {"activation_function": "gelu", "tie_word_embeddings": False},
        {"scale_attn_weights": False},
    ],
)
def test_gpt2_gives_the_logits_of_transformers(saved, plugins, changed):
    folder, wanted = saved("gpt2", **changed)
    with torch.no_grad():
        torch.testing.assert_close(
            mypt.load(folder, plugins=plugins)(IDS), wanted, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"tie_word_embeddings": True, "rms_norm_eps": 1e-3},
        {"attention_bias": True, "mlp_bias": True},
        {"head_dim": 6},
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}},
        {"num_key_value_heads": 1},
        {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 6, "attention_bias": True},
        {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 500.0}},
        {"rope_parameters": LLAMA3},
        {"rope_parameters": YARN},
        {"rope_parameters": {**YARN, "attention_factor": 1.5, "beta_fast": 8.0, "truncate": False}},
    ],
)
def test_llama_gives_the_logits_of_transformers(saved, plugins, changed):
    folder, wanted = saved("llama", **changed)
    with torch.no_grad():
        torch.testing.assert_close(
            mypt.load(folder, plugins=plugins)(IDS), wanted, atol=1e-5, rtol=0
        )


def edit(folder, change, without=()):
    held = json.loads((folder / "config.json").read_text()) | change
    kept = {name: value for name, value in held.items() if name not in without}
    (folder / "config.json").write_text(json.dumps(kept))


def test_the_fields_of_transformers_4_are_read_as_well(saved, plugins):
    folder, wanted = saved("llama", rope_parameters={"rope_type": "default", "rope_theta": 500.0})
    edit(folder, {"rope_theta": 500.0, "rope_scaling": None}, without=("rope_parameters", "dtype"))
    with torch.no_grad():
        torch.testing.assert_close(
            mypt.load(folder, plugins=plugins)(IDS), wanted, atol=1e-5, rtol=0
        )
    edit(folder, {"rope_scaling": {"type": "linear", "factor": 4.0}})
    assert mypt.get_model_info(folder, plugins=plugins)["config"]["rope_scale"] == 4.0


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("gpt2", {"activation_function": "mish"}, "/activation_function: is mish"),
        ("gpt2", {"n_head": None}, "n_head: is missing"),
        ("gpt2", {"n_head": 5}, "does not divide"),
        ("gpt2", {"scale_attn_weights": "false"}, "scale_attn_weights: is 'false', not true or"),
        ("gpt2", {"tie_word_embeddings": None}, "tie_word_embeddings: is None, not true or false"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "contradicts rope_parameters"),
        ("llama", {"rope_parameters": {"rope_type": "linear"}}, "/factor: is missing"),
        ("llama", {"rope_parameters": {"mscale": 2.0}}, "/rope_parameters/mscale: is not known"),
        (
            "llama",
            {"rope_parameters": {**YARN, "mscale": "2", "mscale_all_dim": 1.0}},
            "/mscale: is '2', not a number",
        ),
        (
            "llama",
            {"rope_parameters": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}},
            "/rope_parameters/high_freq_factor: is missing",
        ),
        ("gpt2", {"model_type": "other"}, "is other; mypt reads .*gpt2"),
        ("gpt2", {"quantization_config": {"bits": 4}}, "quantized"),
        ("llama", {"num_key_value_heads": 2}, "which does not divide the 3 heads"),
        ("llama", {"hidden_act": "mish"}, "/hidden_act: is mish"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "longrope", "factor": 8.0}},
            "scales positions by the rule `longrope`",
        ),
        (
            "llama",
            {"rope_parameters": {"partial_rotary_factor": 0.5}},
            "is 0.5, but this class rotates whole",
        ),
    ],
)
def test_what_a_config_cannot_say_is_refused_with_the_reason(
    saved, plugins, family, change, message
):
    folder, _ = saved(family)
    edit(folder, change)
    with pytest.raises(FormatError, match=message):
        mypt.get_model_info(folder, plugins=plugins)


def load_logits(folder, plugins):
    with torch.no_grad():
        return mypt.load(folder, plugins=plugins)(IDS)


def rewrite(folder, change):
    """Write the weights of a folder again, with other names or values."""
    from mypt.format.tensors import safetensors

    file = folder / "model.safetensors"
    tensors = change({n: t.clone() for n, t in safetensors.load(file, "").items()})
    with file.open("wb") as stream:
        safetensors.write(stream, tensors)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("tied", [True, False])
def test_names_of_a_wrapped_model_are_read_without_their_prefix(
    saved, plugins, family, prefix, tied
):
    folder, wanted = saved(family, tie_word_embeddings=tied)
    rewrite(folder, lambda tensors: {prefix + name: t for name, t in tensors.items()})
    torch.testing.assert_close(load_logits(folder, plugins), wanted, atol=1e-5, rtol=0)
    notes = mypt.get_model_info(folder, plugins=plugins)["notes"]
    assert any(note.startswith("the names of the tensors are read without") for note in notes)


def untie(folder, sharded, head_of):
    """Store a head that config.json does not speak of, in the same file or in another one."""
    from mypt.format.tensors import safetensors

    tensors = safetensors.load(folder / "model.safetensors", "")
    name = next(name for name in tensors if "wte" in name or "embed_tokens" in name)
    head = {"lm_head.weight": head_of(tensors[name])}
    if not sharded:
        rewrite(folder, lambda held: held | head)
        return
    with (folder / "head.safetensors").open("wb") as stream:
        safetensors.write(stream, head)
    (folder / "model.safetensors").rename(folder / "rest.safetensors")
    places = dict.fromkeys(tensors, "rest.safetensors") | dict.fromkeys(head, "head.safetensors")
    text = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(text)


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_head_of_its_own_is_used_whatever_the_config_says(
    saved, transformers, plugins, family, sharded, tmp_path
):
    folder, before = saved(family, tie_word_embeddings=True)
    untie(folder, sharded, lambda matrix: matrix.flip(0))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = transformers.AutoModelForCausalLM.from_pretrained(folder)(IDS).logits
    assert not torch.allclose(wanted, before)
    torch.testing.assert_close(load_logits(folder, plugins), wanted, atol=1e-5, rtol=0)
    readers = tuple(plugins.readers.values())
    migrator = Migrator(readers=readers, written_by="the tests", layouts=plugins.layouts)
    report = migrator.migrate(folder, tmp_path / "bundle")
    assert any("lm_head.weight differs from" in line for line in report.lines)
    assert is_valid(validate(tmp_path / "bundle", plugins.layouts, checksums=True))
    torch.testing.assert_close(load_logits(tmp_path / "bundle", plugins), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sharded", [False, True])
def test_a_tied_head_that_is_stored_again_stays_tied(saved, plugins, sharded):
    folder, wanted = saved("gpt2")
    untie(folder, sharded, lambda matrix: matrix.clone())
    assert mypt.load(folder, plugins=plugins).config.tie_weights
    torch.testing.assert_close(load_logits(folder, plugins), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_a_config_leaves_out_is_as_its_class_has_it(saved, transformers, plugins, family):
    """A folder of nothing but its sizes and its type gives the model of transformers."""
    folder, _ = saved(family)
    sizes = (GPT2 if family == "gpt2" else LLAMA).keys() - {"vocab_size"}
    held = json.loads((folder / "config.json").read_text())
    kept = {n: v for n, v in held.items() if n in sizes | {"model_type", "vocab_size"}}
    (folder / "config.json").write_text(json.dumps(kept))
    config = mypt.get_model_info(folder, plugins=plugins)["config"]
    assert config["dropout"] == (0.1 if family == "gpt2" else 0.0)
    with torch.no_grad():
        wanted = transformers.AutoModelForCausalLM.from_pretrained(folder)(IDS).logits
    torch.testing.assert_close(load_logits(folder, plugins), wanted, atol=1e-5, rtol=0)


def test_a_size_that_a_config_leaves_out_is_that_of_its_class(saved, transformers, plugins):
    """The tensors show that it does not fit; another number of heads they could not show."""
    folder, _ = saved("gpt2")
    edit(folder, {}, without=["n_positions"])
    with pytest.raises(FormatError, match=r"wpe\.weight: has shape \(16, 12\), not \(1024, 12\)"):
        mypt.load(folder, plugins=plugins)
    edit(folder, {"n_positions": 16}, without=["n_head"])
    with torch.no_grad():
        wanted = transformers.AutoModelForCausalLM.from_pretrained(folder)(IDS).logits
    torch.testing.assert_close(load_logits(folder, plugins), wanted, atol=1e-5, rtol=0)


def test_the_other_names_of_a_key_are_read(saved, plugins):
    folder, wanted = saved("gpt2")
    edit(folder, {"hidden_size": 12, "num_attention_heads": 3}, without=["n_embd", "n_head"])
    torch.testing.assert_close(load_logits(folder, plugins), wanted, atol=1e-5, rtol=0)
    edit(folder, {"n_head": 4})
    with pytest.raises(FormatError, match=r"/n_head: is 4 here and 3 under its other name"):
        mypt.load(folder, plugins=plugins)


def test_masks_of_old_files_are_skipped_and_the_prefix_is_optional(saved, plugins):
    from mypt.format.tensors import safetensors

    folder, wanted = saved("gpt2")
    file = folder / "model.safetensors"
    tensors = {
        name.removeprefix("transformer."): tensor.clone()
        for name, tensor in safetensors.load(file, "").items()
    }
    for layer in range(2):
        tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16)
        tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    with file.open("wb") as stream:
        safetensors.write(stream, tensors)
    with torch.no_grad():
        torch.testing.assert_close(
            mypt.load(folder, plugins=plugins)(IDS), wanted, atol=1e-5, rtol=0
        )


@pytest.fixture
def sharded(saved):
    """A folder whose weights are in two files, and its logits."""
    from mypt.format.tensors import safetensors

    folder, wanted = saved("llama")
    tensors = safetensors.load(folder / "model.safetensors", "")
    places = {}
    for number in (1, 2):
        names = list(tensors)[number - 1 :: 2]
        shard = f"model-0000{number}-of-00002.safetensors"
        with (folder / shard).open("wb") as stream:
            safetensors.write(stream, {name: tensors[name] for name in names})
        places |= dict.fromkeys(names, shard)
    (folder / "model.safetensors").unlink()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder, wanted, index, places


def test_weights_in_several_files_are_read_together(sharded, plugins):
    folder, wanted, _, _ = sharded
    with torch.no_grad():
        torch.testing.assert_close(
            mypt.load(folder, plugins=plugins)(IDS), wanted, atol=1e-5, rtol=0
        )


@pytest.mark.parametrize("shard", ["../x.safetensors", "/etc/passwd", "", 3])
def test_an_index_that_leaves_its_folder_is_refused(sharded, plugins, shard):
    folder, _, index, places = sharded
    index.write_text(json.dumps({"weight_map": {**places, "lm_head.weight": shard}}))
    with pytest.raises(FormatError, match="not a map from tensors to files of this folder"):
        mypt.get_model_info(folder, plugins=plugins)


def test_an_index_that_does_not_fit_its_files_is_refused(sharded, plugins):
    folder, _, index, places = sharded
    index.write_text(json.dumps({"weight_map": {**places, "more": places["lm_head.weight"]}}))
    with pytest.raises(FormatError, match="more: is missing from model-0000"):
        mypt.get_model_info(folder, plugins=plugins)
    name = places.pop("lm_head.weight")
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(FormatError, match=f"lm_head.weight: is in {name}"):
        mypt.get_model_info(folder, plugins=plugins)
    (folder / name).unlink()
    with pytest.raises(FormatError, match="is missing"):
        mypt.get_model_info(folder, plugins=plugins)


def test_a_tokenizer_with_more_ids_than_rows_is_refused(copy_of, plugins):
    case = copy_of("hf_gpt2")
    held = json.loads((case.folder / "tokenizer.json").read_text("utf-8"))
    held["model"]["vocab"]["beyond"] = 320
    (case.folder / "tokenizer.json").write_text(json.dumps(held), "utf-8")
    with pytest.raises(FormatError, match="has the id 320, but the model has 320 rows"):
        mypt.get_model_info(case.folder, plugins=plugins)
    bare = open_checkpoint(case.folder, plugins, {"tokenizer": "none"})
    assert bare.tokenizer is None


def test_training_does_not_write_over_the_folder(copy_of, plugins, tmp_path, monkeypatch):
    from mypt.engine.config.precedence import TrainRequest
    from mypt.engine.training.launch import run_training

    case = copy_of("hf_gpt2")
    (tmp_path / "checkpoints").mkdir()
    case.folder.rename(tmp_path / "checkpoints" / "mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="mypt format migrate"):
        run_training(TrainRequest(model_name="mine"), plugins, quiet=True)
