"""Bundles that need plugins, with and without them."""

import json
import shutil
from types import SimpleNamespace

import pytest

import mypt
from mypt.api.info import get_model_info
from mypt.engine.training.start.initial_model import start_from
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import PluginError
from mypt.format.open import open_checkpoint
from mypt.format.validate import validate
from mypt.plugins import GuardFactory, PartFactory, TokenizerFactory, Verdict, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins
from mypt.plugins.requirements import check_run

TINY = {"block_size": 16, "n_embd": 16, "n_head": 2, "n_layer": 1, "batch_size": 4}


class Bytes:
    token_kind, n_vocab, vocab_size = "acme_bytes", 256, 256

    def encode(self, text):
        return list(text.encode())

    def encode_array(self, text):
        import numpy as np

        return np.frombuffer(text.encode(), np.uint8).astype(np.uint32)

    def decode(self, ids):
        return bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids):
        return bytes(ids)

    def state(self):
        return {"token_kind": "acme_bytes"}


@hookimpl
def mypt_tokenizers():
    return [TokenizerFactory("acme_bytes", build=lambda _: Bytes(), train=lambda _: Bytes())]


@hookimpl
def mypt_parts():
    from torch import nn

    return [PartFactory("norm_type", "acme_none", build=lambda config: nn.Identity())]


@hookimpl
def mypt_gold_guards():
    return [
        GuardFactory("acme_lenient", lambda _: lambda evaluation, memory: Verdict(None, memory))
    ]


def with_plugins(*hooks):
    plugins = load_plugins()
    for hook in hooks:
        name = hook.__name__.removeprefix("mypt_").replace("_", "-")
        source = PluginOrigin(name, f"acme-{name}", "1.2")
        plugins.register(SimpleNamespace(**{hook.__name__: hook}), source)
    return plugins


def trained(folder, text, plugins, kind="char", guards=None, **config):
    tokenizer = plugins.tokenizer(kind).train(text)
    config = mypt.GPTConfig(**TINY, vocab_size=tokenizer.vocab_size, **config)
    loader = mypt.GPTDataLoader(config, tokenizer, text=text)
    model = mypt.GPT(config, tokenizer, plugins=plugins)
    model.fit(
        loader,
        max_iters=2,
        eval_iters=1,
        checkpoint_dir=folder,
        quiet=True,
        gold_guards=guards or {},
    )
    return folder


def needs(folder):
    return json.loads((folder / "manifest.json").read_text())["plugins"]


def test_a_bundle_of_built_in_things_needs_no_plugin(bundle):
    assert needs(bundle) == {}


def test_a_tokenizer_is_needed_for_text(tmp_path, text):
    plugins = with_plugins(mypt_tokenizers)
    folder = trained(tmp_path / "m", text, plugins, kind="acme_bytes")
    need = {"version": "1.2", "needed_for": ["generate"]}
    assert needs(folder) == {"acme-tokenizers": need}
    assert mypt.load(folder, plugins=plugins).generate("a", max_new_tokens=1)

    model = mypt.load(folder)  # the weights can be used without
    with pytest.raises(PluginError) as refused:
        model.generate("a", max_new_tokens=1)
    assert len(refused.value.problems) == 1
    assert "acme-tokenizers 1.2" in str(refused.value)
    assert "pip install acme-tokenizers" in str(refused.value)

    model.save(tmp_path / "copy")
    assert needs(tmp_path / "copy") == {"acme-tokenizers": need}
    before, after = (
        json.loads((f / "tokenizer.json").read_text()) for f in (folder, tmp_path / "copy")
    )
    assert before == after


def test_a_part_is_needed_for_everything_but_a_look(tmp_path, text):
    plugins = with_plugins(mypt_parts)
    folder = trained(tmp_path / "m", text, plugins, norm_type="acme_none")
    need = {"version": "1.2", "needed_for": ["read", "generate", "train"]}
    assert needs(folder) == {"acme-parts": need}

    with pytest.raises(PluginError) as refused:
        mypt.load(folder)
    (problem,) = refused.value.problems
    assert problem.where == "/norm_type"
    assert "pip install acme-parts" in str(problem)

    (warning,) = validate(folder)
    assert (warning.severity, warning.kind) == ("warning", "plugin.missing")
    assert "acme-parts 1.2" in str(warning)
    assert validate(folder, plugins.layouts) == []

    whole, without = get_model_info(folder, plugins=plugins), get_model_info(folder)
    assert whole["parameters"] == without["parameters"]
    assert whole["plugins"]["acme-parts"] == {**need, "installed": "1.2", "absence": None}
    absence = "is not installed; install it: pip install acme-parts"
    assert without["plugins"]["acme-parts"] == {**need, "installed": None, "absence": absence}


def test_a_bundle_without_a_manifest_says_which_plugin_it_needs(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_parts), norm_type="acme_none")
    (folder / "manifest.json").unlink()
    (warning,) = validate(folder)
    assert (warning.where, warning.kind) == ("/norm_type", "plugin.missing")
    assert "which requires acme-parts to be read" in str(warning)
    with pytest.raises(PluginError, match="pip install acme-parts"):
        mypt.load(folder)


def test_a_part_that_nothing_speaks_of_is_an_error(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_parts), norm_type="acme_none")
    (folder / "manifest.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"requires": []}))
    assert [p.kind for p in validate(folder) if p.severity == "error"] == ["config.part"]


def test_a_guard_is_needed_to_go_on_training_alone(tmp_path, text):
    plugins = with_plugins(mypt_gold_guards)
    folder = trained(tmp_path / "m", text, plugins, guards={"acme_lenient": {}})
    assert needs(folder) == {"acme-gold-guards": {"version": "1.2", "needed_for": ["train"]}}
    model = mypt.load(folder)
    assert model.generate("l", max_new_tokens=1)

    without, training = load_plugins(), TrainingConfig(gold_guards={"acme_lenient": {}})
    state = model.history.state
    with pytest.raises(PluginError, match="pip install acme-gold-guards"):
        check_run(state, training, model.needs, without, folder)
    check_run(state, training, model.needs, plugins, folder)
    switched_off = TrainingConfig(gold_guards={"acme_lenient": False})
    check_run(state, switched_off, model.needs, without, folder)


def required(folder):
    names = ("config.json", "tokenizer.json", "training_state.json")
    found = ((name, folder / name) for name in names)
    return {n: json.loads(path.read_text())["requires"] for n, path in found if path.exists()}


def everything(tmp_path, text):
    plugins = with_plugins(mypt_parts, mypt_tokenizers, mypt_gold_guards)
    folder = trained(
        tmp_path / "m",
        text,
        plugins,
        kind="acme_bytes",
        guards={"acme_lenient": {}},
        norm_type="acme_none",
    )
    return folder, plugins


def test_documents_and_manifest_say_the_same_by_one_computation(tmp_path, text):
    folder, plugins = everything(tmp_path, text)
    assert required(folder) == {
        "config.json": ["plugin/acme-parts"],
        "tokenizer.json": ["plugin/acme-tokenizers"],
        "training_state.json": ["plugin/acme-gold-guards"],
    }
    assert needs(folder) == {
        "acme-parts": {"version": "1.2", "needed_for": ["read", "generate", "train"]},
        "acme-tokenizers": {"version": "1.2", "needed_for": ["generate"]},
        "acme-gold-guards": {"version": "1.2", "needed_for": ["train"]},
    }
    assert validate(folder, plugins.layouts, settings=plugins.settings) == []
    state = json.loads((folder / "training_state.json").read_text())
    assert state["environment"]["plugins"] == needs(folder)


def test_the_copies_of_a_run_say_what_they_require(tmp_path, text):
    folder, _ = everything(tmp_path, text)
    assert required(folder.with_name("m_gold")) == required(folder)
    half = folder.with_name("m_fp16")
    kept = required(half)
    assert kept == {name: required(folder)[name] for name in kept}
    assert ("acme-gold-guards" in needs(half)) == ("training_state.json" in kept)


def test_what_is_built_in_requires_nothing(bundle):
    assert set(map(tuple, required(bundle).values())) == {()}


def test_what_a_bundle_without_a_manifest_requires_is_refused_as_with_one(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_tokenizers), kind="acme_bytes")
    (folder / "manifest.json").unlink()
    model = mypt.load(folder)
    assert model.needs == {"acme-tokenizers": {"version": None, "needed_for": ["generate"]}}
    with pytest.raises(PluginError) as refused:
        model.generate("the")
    assert "m: requires the plugin acme-tokenizers, which is not installed; install" in str(
        refused.value
    )
    (continued,) = model.generate_many([[1, 2]], 2)
    assert len(continued.ids) == 2
    model.save(tmp_path / "copy")
    assert required(tmp_path / "copy")["tokenizer.json"] == ["plugin/acme-tokenizers"]
    assert needs(tmp_path / "copy") == model.needs
    info = get_model_info(folder)["plugins"]["acme-tokenizers"]
    assert (info["version"], info["installed"]) == (None, None)
    shown = validate(folder, load_plugins().layouts, settings=load_plugins().settings)
    (warning,) = [p for p in shown if p.kind == "plugin.tokenizer"]
    assert "pip install acme-tokenizers" in warning.fix


def test_a_tokenizer_of_another_package_does_not_pass_for_it(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_tokenizers), kind="acme_bytes")
    other = load_plugins()
    source = PluginOrigin("fork", "acme-fork", "9")
    other.register(SimpleNamespace(mypt_tokenizers=mypt_tokenizers), source)
    model = mypt.load(folder, plugins=other)
    assert model.tokenizer is None
    with pytest.raises(PluginError, match="requires the plugin acme-tokenizers 1"):
        model.generate("the")
    model.save(tmp_path / "copy")
    assert required(tmp_path / "copy")["tokenizer.json"] == ["plugin/acme-tokenizers"]
    (warning,) = validate(folder, other.layouts, settings=other.settings)
    assert (warning.where, warning.kind) == ("/requires/0", "plugin.tokenizer")


def test_training_goes_on_with_ids_without_the_plugin_of_the_tokenizer(tmp_path, text):
    plugins = with_plugins(mypt_tokenizers)
    folder = trained(tmp_path / "m", text, plugins, kind="acme_bytes")
    model = mypt.load(folder)
    stand_in = model.tokenizer_or_ids()
    assert (stand_in.token_kind, stand_in.n_vocab) == ("acme_bytes", model.config.vocab_size)
    for encode in (stand_in.encode, stand_in.encode_array):
        with pytest.raises(PluginError, match="acme-tokenizers"):
            encode("the")
    with pytest.raises(PluginError, match="acme-tokenizers"):
        mypt.GPTDataLoader(model.config, stand_in, text=text)
    shards = tmp_path / "shards"
    for split in ("train", "val"):
        (shards / split).mkdir(parents=True)
        Bytes().encode_array(text).tofile(shards / split / "shard_0.bin")
    state = json.dumps({"token_kind": "acme_bytes"})
    (shards / "tokenizer_state.json").write_text(state)
    loader = mypt.GPTDataLoader(model.config, stand_in, dataset_dir=shards)
    model.fit(loader, max_iters=4, eval_iters=1, checkpoint_dir=folder, quiet=True)
    assert json.loads((folder / "training_state.json").read_text())["step"] == 4
    assert required(folder)["tokenizer.json"] == ["plugin/acme-tokenizers"]
    need = {"version": "1.2", "needed_for": ["generate"]}
    assert needs(folder) == {"acme-tokenizers": need}
    assert mypt.load(folder, plugins=plugins).generate("the", max_new_tokens=1)


def test_the_same_is_said_of_a_package_that_is_off_or_broken(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_parts), norm_type="acme_none")
    off = load_plugins(["acme-parts"])
    source = PluginOrigin("parts", "acme-parts", "1.2")
    off.load(source, lambda: SimpleNamespace(mypt_parts=mypt_parts))
    broken = load_plugins()
    broken.load(source, lambda: __import__("nothing_of_that_name"))
    for plugins, why in ((off, "is disabled"), (broken, "is broken")):
        with pytest.raises(PluginError) as refused:
            mypt.load(folder, plugins=plugins)
        assert f"acme-parts 1.2 (which {why})" in str(refused.value)


def test_a_manifest_that_does_not_agree_is_told_and_both_count(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_tokenizers), kind="acme_bytes")
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"requires": []}))
    (told,) = [p for p in validate(folder) if p.kind == "manifest.requires"]
    assert (told.where, told.severity) == ("/plugins", "warning")
    assert "acme-tokenizers is needed to generate, and by `requires` of the documents" in told.what
    with pytest.raises(PluginError, match="acme-tokenizers"):
        mypt.load(folder).generate("the")


def test_a_copy_for_inference_does_not_need_the_guards_of_the_run(tmp_path, text):
    folder, plugins = everything(tmp_path, text)
    model = mypt.load(folder, plugins=plugins)
    model.save(tmp_path / "copy")
    assert set(needs(tmp_path / "copy")) == {"acme-parts", "acme-tokenizers"}
    without = with_plugins(mypt_parts, mypt_tokenizers)
    again = mypt.load(folder, plugins=without)
    again.save_checkpoint_bundle(tmp_path / "whole", again.history.state.step)
    assert required(tmp_path / "whole") == required(folder)
    assert needs(tmp_path / "whole") == needs(folder)


def test_generating_is_refused_where_the_manifest_says_so_whatever_is_known(tmp_path, bundle):
    model = mypt.load(bundle)
    model.needs = {"acme-future": {"version": "9", "needed_for": ["generate"]}}
    with pytest.raises(PluginError, match="acme-future 9"):
        model.generate("the")


def test_a_model_begun_with_its_weights_needs_its_tokenizer_and_not_its_guard(tmp_path, text):
    plugins = with_plugins(mypt_tokenizers, mypt_gold_guards)
    guards = {"acme_lenient": {}}
    folder = trained(tmp_path / "m", text, plugins, kind="acme_bytes", guards=guards)
    assert set(needs(folder)) == {"acme-tokenizers", "acme-gold-guards"}
    opened = open_checkpoint(folder, load_plugins())
    begun = start_from(opened, opened.config, load_plugins())
    assert set(begun.needs) == {"acme-tokenizers"}
    with pytest.raises(PluginError, match="pip install acme-tokenizers"):
        begun.need_tokenizer()


def test_sections_of_absent_plugins_survive_a_rewrite(tmp_path, bundle):
    folder = tmp_path / "cat"
    shutil.copytree(bundle, folder)
    section = {"z": [1, 1.0, 1e300, -0.0, "é\u2028", None], "a": {"deep": {"b": True, "a": {}}}}
    for name in ("config.json", "tokenizer.json", "training_state.json"):
        document = json.loads((folder / name).read_text())
        document["plugins"] = {"acme-absent": section}
        (folder / name).write_text(json.dumps(document))
    mypt.load(folder).save(tmp_path / "saved")
    for name in ("config.json", "tokenizer.json"):
        kept = json.loads((tmp_path / "saved" / name).read_text())["plugins"]
        assert json.dumps(kept) == json.dumps({"acme-absent": section})
