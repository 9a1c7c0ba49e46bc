"""Bundles that need plugins, with and without them."""

import json
import shutil
from types import SimpleNamespace

import pytest

import mypt
from mypt.api.info import get_model_info
from mypt.engine.training.initial_model import start_from
from mypt.format.documents.training import TrainingConfig
from mypt.format.errors import PluginError
from mypt.format.open import open_checkpoint
from mypt.format.validate import validate
from mypt.plugins import GuardFactory, PartFactory, TokenizerFactory, Verdict, hookimpl
from mypt.plugins.faults import PluginOrigin
from mypt.plugins.manager import load_plugins

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
    need = {"version": "1.2", "needed_for": ["generate", "train"]}
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


def test_a_part_that_no_manifest_speaks_of_is_an_error(tmp_path, text):
    folder = trained(tmp_path / "m", text, with_plugins(mypt_parts), norm_type="acme_none")
    (folder / "manifest.json").unlink()
    assert [p.kind for p in validate(folder) if p.severity == "error"] == ["config.part"]


def test_a_guard_is_needed_to_go_on_training_alone(tmp_path, text):
    plugins = with_plugins(mypt_gold_guards)
    folder = trained(tmp_path / "m", text, plugins, guards={"acme_lenient": {}})
    assert needs(folder) == {"acme-gold-guards": {"version": "1.2", "needed_for": ["train"]}}
    model = mypt.load(folder)
    assert model.generate("l", max_new_tokens=1)

    from mypt.plugins.requirements import check_guards

    without, training = load_plugins(), TrainingConfig(gold_guards={"acme_lenient": {}})
    with pytest.raises(PluginError, match="pip install acme-gold-guards"):
        check_guards(training, model.needs, without, "m")
    check_guards(training, model.needs, plugins, "m")
    check_guards(TrainingConfig(gold_guards={"acme_lenient": False}), model.needs, without, "m")


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
