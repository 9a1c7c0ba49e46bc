"""Checkpoints of other programs open with the numbers that those programs computed."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attrs import evolve

import mypt
from mypt.format.errors import FormatError, PluginError
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.readers.read import describe, find_reader, read_whole
from mypt.format.tensors.safetensors import write
from mypt.format.validate import validate
from mypt.model.decoding.generate import generate
from mypt.model.decoding.sampling_options import Sampling
from mypt.plugins import Checkpoint, ReaderFactory, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from tests.support.paths import FIXTURES, ROOT

CHANGES = ("missing", "renamed", "wrong shape")


def test_the_logits_are_those_of_the_program_that_wrote_it(case, plugins):
    model = mypt.load(case.path, plugins=plugins, options=case.options)
    with torch.no_grad():
        logits = model(torch.tensor([case.expected["prompt_ids"]])).numpy()
    np.testing.assert_allclose(logits, np.load(case.folder / "expected_logits.npy"), atol=1e-5)


def test_the_greedy_tokens_are_those_of_the_program_that_wrote_it(case, plugins):
    model = mypt.load(case.path, plugins=plugins, options=case.options)
    assert model.config.block_size == case.expected["window"]
    wanted = case.expected["greedy_ids"]
    prompt = torch.tensor([case.expected["prompt_ids"]])
    tokens = generate(model, prompt, len(wanted), Sampling(temperature=0))
    assert [int(token) for token in tokens] == wanted


def test_the_prompt_is_encoded_as_by_the_program_that_wrote_it(case, plugins):
    model = mypt.load(case.path, plugins=plugins, options=case.options)
    text, ids = case.expected["prompt_text"], case.expected["prompt_ids"]
    if text is None:
        assert model.tokenizer_state is None
    elif model.tokenizer is None:
        with pytest.raises(PluginError, match="install mypt-bpe"):
            model.generate(text)
    else:
        assert model.tokenizer.encode(text)[: len(ids)] == ids


def test_the_step_is_told(case, plugins):
    info = mypt.get_model_info(case.path, plugins=plugins, options=case.options)
    state = info["training_state"]
    assert (state and state["step"]) == case.expected.get("step")


def test_it_becomes_a_valid_bundle_that_computes_the_same(case, plugins, tmp_path):
    migrator = Migrator(
        readers=tuple(plugins.readers.values()),
        written_by="the tests",
        layouts=plugins.layouts,
        options=case.options,
    )
    for result in ("migrated", "there already"):
        assert migrator.migrate(case.path, tmp_path / "bundle").result == result
    found = validate(tmp_path / "bundle", plugins.layouts, checksums=True)
    assert not [problem for problem in found if problem.severity == "error"]
    opened = open_checkpoint(case.path, plugins, case.options)
    written = open_checkpoint(tmp_path / "bundle", plugins)
    assert written.config == opened.config
    assert written.tokenizer == opened.tokenizer
    before, after = opened.weights(), written.weights()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(case, copy_of, plugins, change):
    spoilt = copy_of(case.folder.name)
    for place in (0, -1, 0.3, 0.6):
        spoil, name = SPOILERS[spoilt.path.is_dir()], None
        name = spoil(case.path, spoilt.path, place, change)
        with pytest.raises(FormatError) as caught:
            mypt.get_model_info(spoilt.path, plugins=plugins, options=spoilt.options)
        assert name in {problem.where for problem in caught.value.problems}, name


def test_a_damaged_file_is_refused_before_torch_is_imported(copy_of):
    found = [copy_of(name) for name in ("build_llm_lora", "nanogpt_char", "hf_gpt2")]
    for spoilt in found:
        SPOILERS[spoilt.path.is_dir()](spoilt.path, spoilt.path, -1, "missing")
    program = (
        "import sys, mypt\n"
        f"for path, options in {[(str(c.path), c.options) for c in found]!r}:\n"
        "    try:\n        mypt.get_model_info(path, options=options)\n"
        "    except mypt.MyptError as error:\n        assert 'is missing' in str(error), error\n"
        "    else:\n        raise AssertionError(path)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_foreign_checkpoint_is_described_without_torch(copy_of):
    found = [copy_of(name) for name in ("build_llm_lora", "nanogpt_char", "hf_llama_untied")]
    program = (
        "import sys, mypt\n"
        f"for path, options in {[(str(c.path), c.options) for c in found]!r}:\n"
        "    print(mypt.get_model_info(path, options=options)['parameters'])\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_bundle_without_its_tokenizer_plugin_keeps_the_tokenizer(copy_of, plugins, tmp_path):
    case = copy_of("hf_gpt2")
    model = mypt.load(case.path, plugins=plugins)
    model.save(tmp_path / "kept")
    again = open_checkpoint(tmp_path / "kept", plugins)
    assert again.tokenizer == model.tokenizer_state
    assert again.tokenizer.token_kind == "bpe"
    held = again.tokenizer.plugins["mypt-bpe"]["tokenizer"]
    assert held["model"]["vocab"]["<|endoftext|>"] == 0
    without = load_plugins(["mypt-bpe"])
    assert mypt.load(tmp_path / "kept", plugins=without).tokenizer is None


@pytest.mark.parametrize("is_here", [True, False])
def test_a_migrated_bundle_names_the_plugin_of_its_tokenizer(copy_of, tmp_path, is_here):
    plugins = load_plugins([] if is_here else ["mypt-bpe"])
    version = plugins.version_of("mypt-bpe")
    migrator = Migrator(
        readers=tuple(plugins.readers.values()),
        written_by="the tests",
        layouts=plugins.layouts,
        settings=plugins.settings,
        version_of=plugins.version_of,
    )
    source = copy_of("hf_gpt2").path
    for result in ("migrated", "there already"):
        assert migrator.migrate(source, tmp_path / "new").result == result
    opened = open_checkpoint(tmp_path / "new", plugins)
    assert opened.tokenizer.requires == ("plugin/mypt-bpe",)
    assert opened.manifest.plugins == {"mypt-bpe": {"version": version, "needed_for": ["generate"]}}
    assert (version is not None) == is_here


def spoil_pt(source, target, place, change):
    contents = torch.load(source, weights_only=True)
    key = "model" if "model" in contents else "model_state_dict"
    name = spoil(contents[key], place, change)
    torch.save(contents, target)
    return name.removeprefix("_orig_mod.")


def spoil_safetensors(source, target, place, change):
    from mypt.format.tensors.weights_file import load_weights

    tensors = {n: t.clone() for n, t in load_weights(source / "model.safetensors", "").items()}
    name = spoil(tensors, place, change)
    with (target / "model.safetensors").open("wb") as stream:
        write(stream, tensors)
    return name


def spoil(tensors, place, change):
    """Change one tensor, not a mask; give the name that must be complained of."""
    names = [name for name in tensors if not name.endswith(".tril")]
    name = names[place if isinstance(place, int) else int(place * len(names))]
    tensor = tensors.pop(name)
    if change == "renamed":
        tensors[name + "_"] = tensor
    elif change == "wrong shape":
        tensors[name] = tensor[..., 1:].clone()
    return name


SPOILERS = {False: spoil_pt, True: spoil_safetensors}


def golden(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(
        ROOT / "tests" / "golden" / name / "checkpoint", folder, copy_function=shutil.copyfile
    )
    return folder


@pytest.mark.parametrize("key", ["use_alibi", "n_layers"])
def test_a_field_that_mypt_never_had_is_refused_in_its_old_forms(plugins, tmp_path, key):
    single = golden("mypt_latest", tmp_path) / "latest.pt"
    held = torch.load(single, weights_only=True)
    held["config"][key] = 2
    torch.save(held, single)
    folder = golden("mypt_bundle_modern", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: 2}))
    readers = tuple(plugins.readers.values())
    for path in (single, folder):
        with pytest.raises(FormatError, match=f"/{key}: is not a field of MyPT"):
            mypt.load(path, plugins=plugins)
        found = validate(path, plugins.layouts, readers)
        assert [p.where for p in found if p.severity == "error"] == [f"/{key}"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_single_file_of_a_wrapped_model_is_read_without_the_prefix(plugins, tmp_path, prefix):
    path = golden("mypt_latest", tmp_path) / "latest.pt"
    ids = torch.arange(8)[None]
    before = mypt.load(path, plugins=plugins)(ids)
    held = torch.load(path, weights_only=True)
    held["model_state_dict"] = {prefix + n: t for n, t in held["model_state_dict"].items()}
    torch.save(held, path)
    assert torch.equal(mypt.load(path, plugins=plugins)(ids), before)


def test_a_single_file_whose_config_ties_another_head_is_refused(plugins, tmp_path):
    """MyPT computed with the embedding alone, whatever head it had stored: nobody can tell."""
    path = golden("mypt_latest", tmp_path) / "latest.pt"
    held = torch.load(path, weights_only=True)
    held["config"]["tie_weights"] = True
    torch.save({**held, "optimizer_state_dict": None}, path)
    with pytest.raises(FormatError, match=r"lm_head.weight: differs from .*, to which the config"):
        mypt.load(path, plugins=plugins)


@pytest.mark.parametrize("name", ["hf_mixtral", "lightning"])
def test_a_model_that_mypt_cannot_read_is_left_to_the_reader_of_a_plugin(name, tmp_path):
    if name == "lightning":
        path = tmp_path / "other.ckpt"
        held = {"state_dict": {"conv.weight": torch.ones(2)}, "pytorch-lightning_version": "2"}
        torch.save(held, path)
    else:
        path = FIXTURES / "neighbours" / name
        if not path.is_dir():
            pytest.skip("the checkpoints of neighbours are not beside this checkout")
    config = {"n_layer": 1, "n_head": 1, "n_embd": 2, "block_size": 2, "vocab_size": 2}
    model = mypt.GPT(mypt.GPTConfig(**config, head_bias=True))

    def register(recognises):
        found = load_plugins()
        reader = ReaderFactory(
            "mine",
            recognises=recognises,
            read=lambda *_: Checkpoint(config=config, tensors=model.state_dict()),
        )
        hooks = SimpleNamespace(mypt_legacy_readers=hookimpl(lambda: [reader]))
        found.register(hooks, PluginOrigin("mine", "acme", "1.0"))
        return found

    assert mypt.get_model_info(path, plugins=register(lambda _: True))["format"] == "mine"
    with pytest.raises(FormatError, match="install a plugin that reads it"):
        mypt.load(path, plugins=register(lambda _: False))


def test_what_mypt_reads_is_not_left_to_a_plugin(case, plugins):
    reader = ReaderFactory("mine", recognises=lambda _: True, read=lambda *_: None, options={})
    found = find_reader(case.path, [*plugins.readers.values(), evolve(reader, offered_by="acme")])
    assert found.name != "mine"


def test_what_was_described_and_cannot_be_read_any_more_is_not_left_out(plugins, tmp_path):
    source = tmp_path / "dante"
    shutil.copytree(ROOT / "tests" / "golden" / "mypt_bundle_config" / "checkpoint", source)
    reader = find_reader(source, plugins.readers.values())
    described = describe(source, reader, plugins.layouts, {})
    assert described.training_state is not None
    (source / "training_state.json").write_text("{")
    with pytest.raises(FormatError, match=r"training_state\.json: is not JSON"):
        read_whole(source, reader, {}, described, plugins.layouts)
