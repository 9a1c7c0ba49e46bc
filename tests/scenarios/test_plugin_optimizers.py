"""Runs with an optimizer of a plugin: exact, saved by name, checked, and refused without it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError, FormatError, PluginError
from mypt.format.validate import is_valid, validate
from mypt.plugins.manager import load_plugins
from mypt.testing import registered
from tests.support import optimizer_plugin
from tests.support.installed import install, others
from tests.support.optimizer_plugin import MIXED, MOMENTUM
from tests.support.rates import learning_rate_at

FOLDER = Path("checkpoints/cat")
KEPT = dict.fromkeys(("learning_rate", "max_iters", "eval_interval", "eval_iters"))
NAMES = ("acme_momentum", "acme_mixed")


@pytest.fixture
def plugins():
    return registered(optimizer_plugin, package="acme")


def state_of(name="cat"):
    return read_bundle(Path("checkpoints", name)).optimizer()


def check(folder, plugins):
    return validate(folder, plugins.layouts, settings=plugins.settings)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_is_stopped_ends_in_the_same_bytes(name, train, stop_at, digests, plugins):
    options = {"optimizer": name, "grad_clip": 0.5, "warmup_iters": 3, "grad_accum_steps": 2}
    train("whole", **options)
    for step in (4, 7, 9):
        stop_at(step)
        train(**options)
    stop_at(None)
    state = train(tokenization=None, **KEPT, dropout=None, batch_size=None)
    assert (state.step, state.exact, state.inexact_reasons) == (12, True, ())
    assert digests() == digests("whole")
    assert check(FOLDER, plugins) == []
    assert state_of()["optimizer"] == name


def test_what_is_saved_is_by_name_and_by_group(train, plugins, in_tmp):
    train(optimizer="acme_mixed", optimizer_options={"decay": 0.7}, freeze_embeddings=True)
    document = torch.load(FOLDER / "optimizer.pt", weights_only=True)
    assert document["optimizer"] == "acme_mixed"
    first, second = document["param_groups"]
    assert (first["name"], first["decay"], first["k"]) == ("factored", 0.7, 12)
    assert first["initial_lr"] == 10 * second["initial_lr"] == 0.01
    shapes = {name: tuple(t.shape) for name, t in read_bundle(FOLDER).weights().items()}
    assert {*first["params"], *second["params"]} == shapes.keys()
    for name, entry in document["state"].items():
        assert "embedding" not in name
        if name in second["params"]:
            (momentum,) = entry.values()
            assert (momentum.dtype, tuple(momentum.shape)) == (torch.bfloat16, shapes[name])
        else:
            assert tuple(entry["rows"].shape) == shapes[name][:1]
            assert (entry["columns"].dtype, entry["count"]) == (torch.float64, 12)
    assert check(FOLDER, plugins) == []
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert manifest["plugins"] == {"acme": {"version": "0", "needed_for": ["train"]}}
    assert mypt.load("cat").generate("the", 2)


def test_each_group_follows_the_schedule_from_the_peak_that_it_was_built_with(
    train, plugins, monkeypatch
):
    seen = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD,
        "step",
        lambda self, *rest: (
            seen.append([g["lr"] for g in self.param_groups]),
            step(self, *rest),
        )[1],
    )
    state = train(optimizer="acme_momentum", warmup_iters=3)
    training = state.training_config
    assert seen == [
        [learning_rate_at(step, training), learning_rate_at(step, training, 0.0025)]
        for step in range(12)
    ]


def test_another_optimizer_begins_afresh_and_is_told(train, plugins, capsys):
    train(max_iters=6)
    state = train(max_iters=8, optimizer="acme_mixed", quiet=False)
    reasons = (
        "step 6: max_iters changed from 6 to 8",
        "step 6: the optimizer changed from adamw to acme_mixed: the state of 25 of 25 parameters "
        "begins anew",
    )
    assert state.inexact_reasons == reasons
    assert not state.exact
    assert "25 parameters begins anew" in " ".join(capsys.readouterr().out.split())
    assert {group["k"] for group in state_of()["param_groups"]} == {2}
    options = {"momentum": 0.5}
    state = train(max_iters=9, optimizer="acme_momentum", optimizer_options=options)
    assert state.training_config.optimizer_options == options
    state = train(max_iters=10, optimizer="adamw")  # which takes no options of another one
    assert state.training_config.optimizer_options == {}
    assert {int(entry["step"]) for entry in state_of()["state"].values()} == {1}
    assert check(FOLDER, plugins) == []


def edit(**changes):
    path = FOLDER / "training_state.json"
    document = json.loads(path.read_text())
    document["training_config"] |= changes
    path.write_text(json.dumps(document))


def test_an_edited_optimizer_is_a_warning_and_begins_afresh(train, plugins):
    train(max_iters=6)
    edit(optimizer="acme_momentum")
    found = check(FOLDER, plugins)
    assert ("optimizer.other", "warning") in {(p.kind, p.severity) for p in found}
    assert is_valid(found)
    state = train(max_iters=8)
    assert any(
        "optimizer.pt is of adamw, but training_config says acme_momentum" in reason
        for reason in state.inexact_reasons
    )
    assert state_of()["optimizer"] == "acme_momentum"


def test_options_that_change_make_a_resume_inexact_and_keep_the_state(train, plugins):
    train(max_iters=6, optimizer="acme_momentum")
    state = train(max_iters=6, optimizer_options={"momentum": 0.5})  # nothing to do
    state = train(max_iters=8, optimizer_options={"momentum": 0.5})
    assert any("optimizer_options changed from" in reason for reason in state.inexact_reasons)
    assert not any("fresh" in reason for reason in state.inexact_reasons)
    assert {group["momentum"] for group in state_of()["param_groups"]} == {0.5}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"optimizer": "acme_momentun"}, PluginError, r"no plugin offers .*did you mean `acme_mo"),
        (
            {"optimizer": "acme_momentum", "optimizer_options": {"momentun": 1}},
            ConfigError,
            r"optimizer_options/momentun: is not an option \(did you mean `momentum`",
        ),
        (
            {"optimizer": "acme_momentum", "optimizer_options": {"momentum": "x"}},
            ConfigError,
            'optimizer_options/momentum: is "x", not a number',
        ),
        ({"optimizer_options": {"momentum": 1}}, ConfigError, "there are no options"),
        ({"optimizer": "Bad Name"}, ConfigError, "optimizer"),
    ],
)
def test_what_is_mistyped_trains_nothing(given, error, said, train, plugins, in_tmp):
    with pytest.raises(error, match=said):
        train(**given)
    assert not FOLDER.exists()


def alter(change):
    contents = torch.load(FOLDER / "optimizer.pt", weights_only=True)
    change(contents)
    torch.save(contents, FOLDER / "optimizer.pt")
    (FOLDER / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda c: c["state"]["lm_head.weight"].pop("rows"), "form"),
        (lambda c: c["state"]["lm_head.weight"].update(more=torch.zeros(1)), "form"),
        (lambda c: c["state"]["lm_head.weight"].update(rows=torch.zeros(3)), "shape"),
        (lambda c: c["state"]["lm_head.weight"].update(columns=torch.zeros(16)), "dtype"),
        (lambda c: c["state"]["ln_f.bias"].update(momentum=torch.zeros(16)), "dtype"),
        (lambda c: c["param_groups"][0].pop("decay"), "form"),
        (lambda c: c["param_groups"][0].pop("k"), "form"),
        (lambda c: c["param_groups"][0]["params"].pop(), "form"),
        (lambda c: c["param_groups"][0]["params"].append("x"), "groups"),
    ],
)
def test_a_state_that_is_not_what_the_plugin_declares_is_refused(change, kind, train, plugins):
    train(optimizer="acme_mixed", max_iters=6)
    alter(change)
    errors = {p.kind for p in check(FOLDER, plugins) if p.severity == "error"}
    assert errors == {f"optimizer.{kind}"}
    assert mypt.load("cat", plugins=plugins).generate("the", 1)
    with pytest.raises(FormatError, match=r"optimizer\.pt"):
        train(max_iters=8)


def test_what_is_kept_and_not_declared_ends_the_run_after_its_first_update(
    train, plugins, monkeypatch
):
    step, made = torch.optim.SGD.step, []

    def odd(self, *rest):
        made.append(step(self, *rest))
        self.state[self.param_groups[0]["params"][0]]["text"] = "x"

    monkeypatch.setattr(torch.optim.SGD, "step", odd)
    said = "^the optimizer acme_momentum of the plugin checked of acme 0: keeps `text` of token"
    with pytest.raises(PluginError, match=said):
        train(optimizer="acme_momentum")
    assert len(made) == 1
    assert read_bundle(FOLDER).training_state.step == 0


@pytest.fixture
def fit(text, plugins):
    def call(model, optimizer=None, folder=None, **options):
        loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="input.txt")
        run = {"max_iters": 12, "eval_interval": 6, "eval_iters": 1, "quiet": True}
        return model.fit(loader, optimizer, checkpoint_dir=folder, **{**run, **options})

    return call


@pytest.fixture
def new_model(text, plugins):
    def call():
        tokenizer = plugins.tokenizer("char").train(text)
        shape = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2}
        config = mypt.GPTConfig(**shape, vocab_size=tokenizer.vocab_size, dropout=0.2, device="cpu")
        return mypt.GPT(config, tokenizer, plugins=plugins)

    return call


@pytest.mark.parametrize("name", NAMES)
def test_fit_goes_on_in_memory_and_takes_a_name(name, fit, new_model, in_tmp, digests):
    fit(new_model(), name, in_tmp / "checkpoints" / "whole", learning_rate=0.01)
    model = new_model()
    fit(model, name, FOLDER, max_iters=5, learning_rate=0.01)
    reasons = fit(model, None, FOLDER).inexact_reasons
    assert not any("optimizer" in reason for reason in reasons)
    assert state_of()["optimizer"] == name
    model = new_model()
    fit(model, name, max_iters=12, learning_rate=0.01)
    model.save_checkpoint_bundle("checkpoints/last", 12)
    assert digests("last") == digests("whole")


@pytest.mark.parametrize("factory", [MOMENTUM, MIXED])
def test_an_optimizer_of_ones_own_that_a_factory_would_build_is_gone_on_with(
    factory, fit, new_model, train, digests, in_tmp
):
    def make(model):
        training = mypt.TrainingConfig(optimizer=factory.name, learning_rate=0.02, weight_decay=0.0)
        return factory.build(dict(model.named_parameters()), training)

    given = {"weight_decay": 0.0}
    whole = new_model()
    fit(whole, make(whole), in_tmp / "checkpoints" / "whole", **given)
    model = new_model()
    optimizer = make(model)
    before = [dict(group) for group in optimizer.param_groups]
    state = fit(model, optimizer, FOLDER, max_iters=12, **given)
    assert state.training_config.optimizer == factory.name
    assert state.training_config.learning_rate == 0.02
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == [group["lr"] for group in before]
    assert digests() == digests("whole")
    state = train("cat", tokenization=None, **KEPT | {"max_iters": 14}, weight_decay=None)
    assert state.training_config.optimizer == factory.name
    assert not any("fresh" in reason for reason in state.inexact_reasons)


def test_a_loop_of_ones_own_is_saved_and_gone_on_with(new_model, plugins, in_tmp):
    chance = torch.Generator().manual_seed(4)
    data = [torch.randint(12, (2, 2, 8), generator=chance).unbind() for _ in range(8)]
    given = {"optimizer": "acme_mixed", "learning_rate": 0.01, "max_iters": 100}

    def loop(model, optimizer, steps):
        for step in steps:
            optimizer.zero_grad()
            model.eval().loss(*data[step][:3]).backward()
            optimizer.step()

    def make(model):
        return MIXED.build(dict(model.named_parameters()), mypt.TrainingConfig(**given))

    whole = new_model()
    loop(whole, make(whole), range(8))
    model = new_model()
    optimizer = make(model)
    loop(model, optimizer, range(5))
    with pytest.raises(ConfigError, match="optimizer_state"):
        model.save_checkpoint_bundle(FOLDER, 5, optimizer.state_dict())
    model.save_checkpoint_bundle(FOLDER, 5, optimizer.state_dict(), given)
    assert check(FOLDER, plugins) == []
    manager = mypt.CheckpointManager("cat")
    model, optimizer, step = manager.initialize_for_training(mypt.GPTConfig(), plugins=plugins)
    loop(model, optimizer, range(step, 8))
    for one, other in zip(model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def installed(in_tmp, text, cli, monkeypatch):
    """Train with the optimizer of an installed package, which this process finds."""
    monkeypatch.setenv("MYPT_DISABLE_PLUGINS", others())
    source = Path(optimizer_plugin.__file__).read_text(encoding="utf-8")
    packages = install(in_tmp / "site-packages", "acme-sgd", source, module="acme_sgd")
    monkeypatch.syspath_prepend(packages)
    (in_tmp / "input.txt").write_text(text)
    flags = (
        *("--input_file", "input.txt", "--tokenization", "char", "--eval_iters", 1),
        *("--n_layer", 1, "--n_embd", 8, "--n_head", 1, "--block_size", 8, "--eval_interval", 2),
        *("--optimizer", "acme_mixed", "--optimizer_options", '{"decay": 0.5}'),
    )
    code, _, err = cli("train", "--model_name", "cat", "--device", "cpu", *flags, "--max_iters", 2)
    assert code == 0, err
    yield packages
    sys.modules.pop("acme_sgd", None)


TRAIN = ("train", "--model_name", "cat", "--device", "cpu")


def test_with_the_package_the_command_goes_on_and_validates(installed, cli):
    code, _, err = cli(*TRAIN, "--max_iters", 4)
    assert code == 0, err
    code, out, _ = cli("format", "validate", FOLDER)
    assert (code, out.strip()) == (0, "checkpoints/cat: valid")
    code, out, _ = cli("plugins")
    assert code == 0
    assert "acme_momentum" in out


def test_without_the_package_only_training_stops(installed, cli, refused):
    shutil.rmtree(installed)
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    line = refused(*TRAIN, "--max_iters", 4)
    assert "requires the plugin acme-sgd 1.0, which is not installed" in line
    assert "pip install acme-sgd" in line
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before
    code, out, _ = cli("format", "validate", FOLDER)
    assert code == 0
    warning, last = out.splitlines()
    assert 'optimizer.pt optimizer: is "acme_mixed", which no installed plugin offers' in warning
    assert "install acme-sgd to go on with the training" in warning
    assert last == "checkpoints/cat: valid"
    for words in (("generate", "cat", "--max_new_tokens", 2), ("inspect", "cat")):
        code, _, err = cli(*words)
        assert (code, err) == (0, "")
    code, _, err = cli(*TRAIN, "--max_iters", 4, "--optimizer", "adamw")
    assert code == 0, err
    assert state_of()["optimizer"] == "adamw"
    code, _, err = cli(*TRAIN, "--max_iters", 6)  # which is its optimizer from then on
    assert code == 0, err


def test_names_are_checked_without_the_package_too(installed, cli):
    shutil.rmtree(installed)
    alter(lambda contents: contents["param_groups"][0]["params"].append("x"))
    code, out, _ = cli("format", "validate", FOLDER)
    assert code == 1
    assert "holds x, which is no parameter of the model" in out


def test_version_1_is_written_without_it(installed, cli):
    code, out, err = cli("format", "migrate", FOLDER, "--to", "1")
    assert code == 0, err
    said = " ".join(out.split())
    assert "optimizer.pt is left out: it is of acme_mixed, and MyPT has AdamW alone" in said
    folder = Path("checkpoints/cat_v1")
    assert not (folder / "optimizer.pt").exists()
    assert json.loads((folder / "training_state.json").read_text())["optimizer_file"] is None


def test_a_preset_and_a_model_as_a_preset_choose_it(installed, cli, in_tmp):
    preset = {"optimizer": "acme_momentum", "optimizer_options": {"momentum": 0.5}}
    (in_tmp / "p.json").write_text(json.dumps({**preset, "n_layer": 1, "n_embd": 8, "n_head": 1}))
    new = ("--input_file", "input.txt", "--max_iters", 2, "--eval_iters", 1, "--device", "cpu")
    code, _, err = cli("train", "--model_name", "a", "--config_file", "p.json", *new)
    assert code == 0, err
    assert {group["momentum"] for group in state_of("a")["param_groups"]} == {0.5}
    code, _, err = cli("train", "--model_name", "b", "--config_file", "a", *new)
    assert code == 0, err
    assert state_of("b")["optimizer"] == "acme_momentum"
    (in_tmp / "p.json").write_text(json.dumps({**preset, "optimizer": "acme_momentun"}))
    code, out, _ = cli("format", "validate", "p.json")
    assert code == 1
    assert "did you mean `acme_momentum`?" in out


def test_adamw_is_what_every_plugin_manager_has():
    assert "adamw" in load_plugins().optimizers
