"""A package whose next version has another name, as have its part, its guard and its settings."""

import json
import shutil
import subprocess
import sys
from importlib import invalidate_caches

import pytest

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.plugins.manager import load_plugins
from tests.support.installed import install, others

OLD = """
from torch import nn
from mypt.plugins import GuardFactory, PartFactory, TokenizerFactory, Verdict, hookimpl

class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor

OPTIONS = {"properties": {"factor": {"type": "number"}}, "additionalProperties": False}

def build(config):
    return Scale(config.plugins["acme-old"]["factor"])

def build_guard(options):
    return lambda evaluation, memory: Verdict(None, {"seen": memory.get("seen", 0) + 1})

@hookimpl
def mypt_parts():
    return [PartFactory("norm_type", "acme_scale", build, options=OPTIONS)]

@hookimpl
def mypt_gold_guards():
    patience = {"properties": {"rounds": {"type": "integer"}}, "additionalProperties": False}
    return [GuardFactory("acme_lenient", build_guard, options=patience)]
"""
NEW = """
from torch import nn
from mypt.plugins import GuardFactory, PartFactory, Verdict, hookimpl

class Scale(nn.Module):
    def __init__(self, percent):
        super().__init__()
        self.percent = percent

    def forward(self, x):
        return x * (self.percent / 100)

PERCENT = {"type": "number", "default": 100}
OPTIONS = {"properties": {"percent": PERCENT}, "additionalProperties": False}

def build(config):
    return Scale(config.plugins.get("acme-new", {}).get("percent", 100))

def build_guard(options):
    return lambda evaluation, memory: Verdict(None, {"seen": memory.get("seen", 0) + 1})

ORIGINS = []

def update(settings, origin):
    ORIGINS.append(origin)
    if "factor" not in settings:
        return settings
    return {"percent": 100 * settings["factor"]}

def update_guard(options, origin):
    return {"evaluations": options["rounds"]} if "rounds" in options else options

@hookimpl
def mypt_parts():
    return [
        PartFactory(
            "norm_type", NAME, build, options=OPTIONS,
            former_names=FORMER, former_packages=("Acme_Old",), update=update,
        )
    ]

@hookimpl
def mypt_gold_guards():
    options = {"properties": {"evaluations": {"type": "integer"}}, "additionalProperties": False}
    return [
        GuardFactory(
            "lenient", build_guard, options=options,
            former_names=("acme_lenient",), former_packages=("acme-old",), update=update_guard,
        )
    ]
"""
RENAMED = 'NAME, FORMER = "scale", ("acme_scale",)\n' + NEW
KEPT = 'NAME, FORMER = "acme_scale", ()\n' + NEW
PRESET = {
    "norm_type": "acme_scale",
    "plugins": {"acme-old": {"factor": 0.5}},
    "gold_guards": {"acme_lenient": {"rounds": 3}},
}
TRAIN = ("train", "--model_name", "m", "--device", "cpu")
NEW_RUN = (
    *("--input_file", "input.txt", "--tokenization", "char", "--eval_iters", 1),
    *("--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8, "--eval_interval", 2),
    *("--config_file", "preset.json", "--max_iters", 4),
)


@pytest.fixture
def packages(in_tmp, text, monkeypatch):
    """Give what installs packages, by name, instead of those before."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    (in_tmp / "input.txt").write_text(text)
    folder = in_tmp / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def provide(entry=None, **codes):
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("acme_old", "acme_new", "acme_other"):
            sys.modules.pop(name, None)
        for module, code in codes.items():
            version = {"acme_old": "1.0", "acme_new": "2.0"}.get(module, "3.0")
            name = entry if module == "acme_new" else None
            package = module.replace("_", "-")
            install(folder, package, code, entry=name, module=module, version=version)
        invalidate_caches()

    yield provide
    for name in ("acme_old", "acme_new", "acme_other"):
        sys.modules.pop(name, None)


@pytest.fixture
def saved(packages, in_tmp, cli, stop_at):
    """A model of the old package at step 2 of 4."""
    packages(acme_old=OLD)
    (in_tmp / "preset.json").write_text(json.dumps(PRESET))
    stop_at(2)
    code, out, err = cli(*TRAIN, *NEW_RUN)
    assert code == 1, out + err
    stop_at(None)
    return in_tmp / "checkpoints" / "m"


def document(folder, name):
    return json.loads((folder / name).read_text())


def logits(folder):
    import torch

    model = mypt.load(folder)
    with torch.no_grad():
        return model(torch.arange(8)[None])[0]


def test_a_bundle_of_the_old_package_opens_trains_on_and_is_saved_under_the_new_names(
    saved, packages, cli, caplog
):
    before = logits(saved)
    packages(acme_new=RENAMED)
    code, out, err = cli("format", "validate", saved)
    assert (code, err) == (0, "")
    assert 'config.json#/norm_type: is "acme_scale", which is called "scale" today' in out
    assert "config.json#/plugins/acme-old: is the section of acme-new today" in out
    assert 'has settings of acme-old 1.0, which are read as {"percent": 50.0}' in out
    guards = "training_state.json#/training_config/gold_guards/acme_lenient"
    assert f'{guards}: is called "lenient" today' in out

    assert logits(saved).equal(before)
    (record,) = caplog.records
    assert "saved with the plugin acme-old 1.0, but acme-new 2.0 is installed" in record.message
    origin = sys.modules["acme_new"].ORIGINS[0]
    assert (origin.name, origin.package, origin.version) == ("acme_scale", "acme-old", "1.0")

    code, out, err = cli(*TRAIN)
    assert code == 0, err
    config = document(saved, "config.json")
    assert config["norm_type"] == "scale"
    assert config["plugins"] == {"acme-new": {"percent": 50.0}}
    state = document(saved, "training_state.json")
    assert state["training_config"]["gold_guards"] == {"lenient": {"evaluations": 3}}
    assert state["gold"]["guards"]["lenient"] == {"seen": 3}  # its memory went on
    assert state["environment"]["plugins"].keys() == {"acme-new"}
    assert state["inexact_reasons"] == ["step 2: the plugin acme-new changed from 1.0 to 2.0"]
    assert document(saved, "manifest.json")["plugins"].keys() == {"acme-new"}
    assert "acme-old" not in (saved / "config.json").read_text()
    code, out, err = cli("format", "validate", saved)
    assert (code, out.count("\n"), err) == (0, 1, "")


def test_fit_finds_the_optimizer_of_a_bundle_with_old_names(saved, packages):
    packages(acme_new=RENAMED)
    model = mypt.load(saved)
    text = (saved.parents[1] / "input.txt").read_text()
    loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text)
    state = model.fit(loader, max_iters=4, checkpoint_dir=saved, quiet=True)
    assert not [reason for reason in state.inexact_reasons if "optimizer" in reason]


def test_the_old_names_do_for_inspect_presets_and_a_preset_made_of_the_bundle(
    saved, packages, cli, in_tmp
):
    packages(acme_new=RENAMED)
    code, out, err = cli("inspect", "m", "--json")
    info = json.loads(out)
    assert code == 0, err
    assert info["plugins"].keys() == {"acme-new"}
    assert info["config"]["norm_type"] == "scale"
    for name, preset in (("a", "preset.json"), ("b", "checkpoints/m")):
        words = [preset if word == "preset.json" else word for word in NEW_RUN]
        code, _, err = cli("train", "--model_name", name, "--device", "cpu", *words)
        assert code == 0, err
        config = document(in_tmp / "checkpoints" / name, "config.json")
        assert (config["norm_type"], config["plugins"]) == ("scale", {"acme-new": {"percent": 50}})


def test_a_document_alone_is_validated_under_the_new_names(saved, packages, cli):
    packages(acme_new=RENAMED)
    for name in ("config.json", "training_state.json"):
        code, out, _ = cli("format", "validate", saved / name)
        assert code == 0, out
        assert "today" in out


def test_without_the_new_package_the_old_one_is_asked_for(saved, packages, refused):
    packages()
    assert "install it: pip install acme-old" in refused("generate", "m", "--prompt", "l")


def test_validate_and_migrate_need_no_torch_for_it(saved, packages):
    light = RENAMED.replace("from torch import nn\n", "").replace("nn.Module", "object")
    packages(acme_new=light)
    code = (
        "import sys\nfrom mypt.cli.main import main_format\n"
        f"sys.argv = ['mypt format', 'validate', {str(saved)!r}]\n"
        "try:\n    main_format()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    path = str(saved.parents[1] / "site-packages")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path.insert(0, {path!r})\n{code}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'which is called "scale" today' in done.stdout


def test_beside_the_old_package_what_still_has_its_name_stays_with_it(saved, packages, cli):
    packages(acme_old=OLD, acme_new=RENAMED)
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    assert document(saved, "config.json")["norm_type"] == "acme_scale"
    assert document(saved, "manifest.json")["plugins"].keys() == {"acme-old"}


@pytest.mark.parametrize("entry", ["a_new", "z_new"], ids=["found first", "found last"])
def test_beside_the_old_package_a_name_that_both_offer_is_the_successors(
    entry, saved, packages, cli
):
    packages(entry, acme_old=OLD, acme_new=KEPT)
    faults = []
    plugins = load_plugins(report=faults.append)
    assert str(plugins.source_of("mypt_parts", ("norm_type", "acme_scale"))).endswith(
        "acme-new 2.0"
    )
    (fault,) = [fault for fault in faults if fault.kind == "superseded"]
    assert "uninstall it" in str(fault.problem)
    code, _, err = cli(*TRAIN)
    assert code == 0, err
    config = document(saved, "config.json")
    assert config["plugins"] == {"acme-new": {"percent": 50.0}}
    assert "acme-new" in document(saved, "manifest.json")["plugins"]


OPTIMIZER = """
import torch
from mypt.plugins import OptimizerFactory, StateTensor, hookimpl

class Momentum(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    kept = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    kept.mul_(0.9).add_(p.grad)
                    p.add_(kept, alpha=-group["lr"])

def build(parameters, training):
    assert training.optimizer_options == OPTIONS
    group = {"name": "all", "params": list(parameters.values())}
    return Momentum([group], {"lr": training.learning_rate})

def state(parameter, group):
    return {"momentum": StateTensor(parameter.shape)}

@hookimpl
def mypt_optimizers():
    taken = {"properties": {name: {} for name in OPTIONS}, "additionalProperties": False}
    return [OptimizerFactory(NAME, build, state, options=taken, **PAST)]
"""
OLD_OPTIMIZER = 'NAME, PAST, OPTIONS = "acme_momentum", {}, {"beta": 0.9}\n' + OPTIMIZER
NEW_OPTIMIZER = (
    'NAME, OPTIONS = "momentum", {"betas": [0.9]}\n'
    "def update(options, origin):\n"
    '    return {"betas": [options["beta"]]} if "beta" in options else options\n'
    'PAST = {"former_names": ("acme_momentum",), "former_packages": ("acme-old",)}\n'
    'PAST["update"] = update\n' + OPTIMIZER
)


def test_an_optimizer_goes_on_from_its_state_under_another_name(packages, in_tmp, cli, stop_at):
    def run(name, code, *, until=None):
        module = "acme_old" if code is OLD_OPTIMIZER else "acme_new"
        packages(**{module: code})
        kind = {"acme_old": "acme_momentum", "acme_new": "momentum"}[module]
        options = {"acme_old": {"beta": 0.9}, "acme_new": {"betas": [0.9]}}[module]
        preset = {"optimizer": kind, "optimizer_options": options}
        (in_tmp / "preset.json").write_text(json.dumps(preset))
        stop_at(until)
        code, out, err = cli("train", "--model_name", name, "--device", "cpu", *NEW_RUN)
        stop_at(None)
        return code, out, err

    code, out, err = run("whole", NEW_OPTIMIZER)
    assert code == 0, out + err
    assert run("m", OLD_OPTIMIZER, until=2)[0] == 1
    folder = in_tmp / "checkpoints" / "m"
    packages(acme_new=NEW_OPTIMIZER)
    code, out, err = cli("format", "validate", folder)
    assert (code, err) == (0, ""), out
    assert 'optimizer: is "acme_momentum", which is called "momentum" today' in out
    code, out, err = cli(*TRAIN)
    assert code == 0, err
    state = document(folder, "training_state.json")
    assert state["training_config"]["optimizer"] == "momentum"
    assert state["training_config"]["optimizer_options"] == {"betas": [0.9]}
    assert state["inexact_reasons"] == ["step 2: the plugin acme-new changed from 1.0 to 2.0"]
    bundle = read_bundle(folder, settings=load_plugins().settings)
    assert bundle.optimizer()["optimizer"] == "momentum"
    whole = document(in_tmp / "checkpoints" / "whole", "manifest.json")["files"]
    assert document(folder, "manifest.json")["files"]["model.pt"] == whole["model.pt"]
    assert document(folder, "manifest.json")["files"]["optimizer.pt"] == whole["optimizer.pt"]


OTHER = """
from torch import nn
from mypt.plugins import PartFactory, hookimpl

@hookimpl
def mypt_parts():
    return [PartFactory("norm_type", {name!r}, lambda config: nn.Identity(), former_names={former})]
"""


def test_a_former_name_that_another_plugin_has_now_is_that_plugins(saved, packages):
    packages(acme_new=RENAMED, acme_other=OTHER.format(name="acme_scale", former=()))
    faults = []
    plugins = load_plugins(report=faults.append)
    source = plugins.source_of("mypt_parts", ("norm_type", "acme_scale"))
    assert source.package == "acme-other"
    (fault,) = [fault for fault in faults if fault.kind == "clash"]
    plugins.load_all()
    assert "says that it offered the norm_type `acme_scale`, which plugin acme-other" in fault.what


def test_a_former_name_that_two_plugins_claim_belongs_to_neither(saved, packages, refused):
    packages(acme_new=RENAMED, acme_other=OTHER.format(name="other", former=("acme_scale",)))
    plugins = load_plugins()
    plugins.load_all()
    (fault,) = [fault for fault in plugins.faults if fault.kind == "clash"]
    assert "says that it offered the norm_type `acme_scale`, as plugin acme-" in fault.what


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise RuntimeError('not today')", "failed in `update` of its norm_type `scale`"),
        ("return [1]", "not a mapping"),
    ],
)
def test_an_update_that_fails_is_one_line(body, said, saved, packages, refused):
    code = RENAMED.replace("    ORIGINS.append(origin)\n", f"    {body}\n")
    packages(acme_new=code)
    line = refused("generate", "m", "--prompt", "l")
    assert "config.json#/plugins/acme-new" in line
    assert said in line


def test_bundles_without_plugins_import_none_for_it(bundle, in_tmp, packages):
    packages(acme_new="raise SystemExit(3)")
    faults = []
    read_bundle(bundle, load_plugins(report=faults.append).layouts)
    assert not faults
