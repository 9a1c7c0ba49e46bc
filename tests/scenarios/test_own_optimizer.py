"""Optimizers that the caller made: what is saved is what they say, and resumes as that."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import mypt
from mypt.format.bundle.read import read_bundle
from mypt.format.errors import ConfigError, FormatError
from mypt.format.validate import validate
from mypt.plugins.manager import load_plugins
from tests.support.rates import learning_rate_at

PLUGINS = load_plugins()
SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2, "dropout": 0.2}
RUN = {"max_iters": 12, "eval_interval": 6, "eval_iters": 1, "quiet": True}
FOLDER = Path("checkpoints/cat")


@pytest.fixture
def model_of(text):
    def make(**fields):
        tokenizer = PLUGINS.tokenizer("char").train(text)
        config = mypt.GPTConfig(**SHAPE, **fields, vocab_size=tokenizer.vocab_size, device="cpu")
        return mypt.GPT(config, tokenizer, plugins=PLUGINS)

    return make


@pytest.fixture
def fit(text):
    def call(model, optimizer=None, folder=None, **options):
        loader = mypt.GPTDataLoader(model.config, model.tokenizer, text=text, source="input.txt")
        return model.fit(loader, optimizer, checkpoint_dir=folder, **{**RUN, **options})

    return call


def plain(model, **options):
    return torch.optim.AdamW(model.parameters(), **{"lr": 0.01, **options})


def of_rates(model, **options):
    """Give an optimizer of three groups, each with its own learning rate or eps."""
    embeddings = [*model.token_embedding_table.parameters()]
    head = [*model.lm_head.parameters()]
    apart = {*embeddings, *head}
    rest = [parameter for parameter in model.parameters() if parameter not in apart]
    groups = [
        {"params": head, "lr": 0.001},
        {"params": embeddings, "lr": 0.02},
        {"params": rest, "eps": 1e-6},
    ]
    return torch.optim.AdamW(groups, **{"lr": 0.01, **options})


def by_rule(model, **options):
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    rest = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    groups = [{"params": rest, "weight_decay": 0.0}, {"params": matrices, "weight_decay": 0.3}]
    return torch.optim.AdamW(groups, **{"lr": 0.01, **options})


def weights(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_second_fit_with_an_optimizer_begins_at_the_same_peak(model_of, fit):
    model = model_of()
    optimizer = plain(model)
    for end in (6, 12):
        state = fit(model, optimizer, max_iters=end, start_step=end - 6)
        assert state.training_config.learning_rate == 0.01
        assert [group["lr"] for group in optimizer.param_groups] == [0.01]
    assert {int(entry["step"]) for entry in optimizer.state.values()} == {12}
    optimizer.param_groups[0]["lr"] = 0.5  # as a user changes it
    assert fit(model, optimizer, max_iters=13, start_step=12).training_config.learning_rate == 0.5


def test_each_group_follows_the_schedule_from_its_own_rate(model_of, fit):
    model, seen = model_of(), []
    optimizer = of_rates(model)
    peaks = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    optimizer.register_step_pre_hook(
        lambda o, *_: seen.append({p: g["lr"] for g in o.param_groups for p in g["params"]})
    )
    state = fit(model, optimizer, warmup_iters=3, weight_decay=0.01)
    assert len(seen) == 12
    for step, rates in enumerate(seen):
        for parameter, peak in peaks.items():
            assert rates[parameter] == learning_rate_at(step, state.training_config, peak)
    assert [group["lr"] for group in optimizer.param_groups] == [0.001, 0.02, 0.01]


@pytest.mark.parametrize("make", [plain, of_rates, by_rule])
@pytest.mark.parametrize("fused", [None, True])
def test_a_run_with_any_optimizer_is_gone_on_with_exactly(
    make, fused, model_of, fit, train, stop_at, in_tmp
):
    """By the command line, which makes an optimizer of its own."""
    options = {"betas": (0.8, 0.99), "weight_decay": 0.3, "fused": fused}
    whole = model_of()
    fit(whole, make(whole, **options), in_tmp / "checkpoints" / "whole")
    model = model_of()
    stop_at(5)
    stopped = fit(model, make(model, **options), FOLDER)
    stop_at(None)
    assert stopped.step == 5
    assert stopped.training_config.beta2 == 0.99
    assert stopped.training_config.weight_decay == 0.3
    assert [problem.kind for problem in validate(FOLDER)] == []
    kept = dict.fromkeys(("learning_rate", "max_iters", "eval_interval", "eval_iters"))
    state = train("cat", tokenization=None, **kept, dropout=0.2, batch_size=2)
    assert (state.step, state.inexact_reasons) == (12, ())
    after, expected = read_bundle(FOLDER), read_bundle(in_tmp / "checkpoints" / "whole")
    assert same(after.weights().values(), expected.weights().values())
    groups = after.optimizer()["param_groups"]
    assert groups == expected.optimizer()["param_groups"]
    assert len(groups) == {plain: 1, by_rule: 2, of_rates: 3}[make]


def test_fit_goes_on_exactly_with_the_groups_that_were_saved(model_of, fit, stop_at, in_tmp):
    whole = model_of()
    fit(whole, of_rates(whole), in_tmp / "checkpoints" / "whole")
    model = model_of()
    stop_at(5)
    fit(model, of_rates(model), FOLDER)
    stop_at(None)
    manager = mypt.CheckpointManager("cat")
    model, optimizer, step = manager.initialize_for_training(mypt.GPTConfig())
    assert fit(model, optimizer, FOLDER, start_step=step).exact
    assert same(weights(model), weights(whole))


def test_a_rate_that_is_changed_at_a_resume_changes_all_groups(model_of, fit, train):
    model = model_of()
    fit(model, of_rates(model), FOLDER, max_iters=6)
    kept = dict.fromkeys(("eval_interval", "eval_iters"))
    state = train("cat", tokenization=None, **kept, learning_rate=0.002, max_iters=8)
    assert "step 6: learning_rate changed from 0.02 to 0.002" in state.inexact_reasons
    groups = read_bundle(FOLDER).optimizer()["param_groups"]
    assert sorted({g["initial_lr"] for g in groups}) == pytest.approx([0.0001, 0.001, 0.002])
    manager = mypt.CheckpointManager("cat")
    model, optimizer, _ = manager.initialize_for_training(mypt.GPTConfig(), learning_rate=0.004)
    rates = {group["lr"] for group in optimizer.param_groups if group["params"]}
    assert sorted(rates) == pytest.approx([0.0002, 0.002, 0.004])
    assert fit(model, optimizer, FOLDER).training_config.learning_rate == 0.004


def loop(model, optimizer, data, steps, scheduler=None):
    """Train as people do by themselves."""
    for step in steps:
        optimizer.zero_grad()
        model.eval().loss(*data[step][:3]).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


@pytest.fixture
def data():
    chance = torch.Generator().manual_seed(4)
    return [torch.randint(12, (2, 2, 8), generator=chance).unbind() for _ in range(8)]


@pytest.mark.parametrize("make", [plain, by_rule])
def test_an_own_loop_is_gone_on_with_exactly(make, model_of, data, in_tmp):
    options = {"betas": (0.85, 0.98), "eps": 1e-7, "fused": True}
    whole = model_of()
    loop(whole, make(whole, **options), data, range(8))
    model = model_of()
    optimizer = make(model, **options)
    loop(model, optimizer, data, range(5))
    if make is by_rule:  # its groups are in another order than those of the format
        with pytest.raises(ConfigError, match="optimizer_state"):
            model.save_checkpoint_bundle(FOLDER, 5, optimizer.state_dict())
        named = {parameter: name for name, parameter in model.named_parameters()}
        for group in optimizer.param_groups:
            group["param_names"] = [named[parameter] for parameter in group["params"]]
    model.save_checkpoint_bundle(FOLDER, 5, optimizer.state_dict())
    assert validate(FOLDER) == []
    manager = mypt.CheckpointManager("cat")
    model, optimizer, step = manager.initialize_for_training(mypt.GPTConfig())
    assert step == 5
    loop(model, optimizer, data, range(5, 8))
    assert same(weights(model), weights(whole))


def test_an_own_loop_is_saved_with_what_its_optimizer_had(model_of, data, train, in_tmp):
    model = model_of()
    optimizer = plain(model, lr=0.03, betas=(0.8, 0.9))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    loop(model, optimizer, data, range(4), scheduler)
    model.save_checkpoint_bundle(FOLDER, 4, optimizer.state_dict(), {"max_iters": 9})
    training = read_bundle(FOLDER).training_state.training_config
    assert (training.learning_rate, training.beta1, training.beta2) == (0.03, 0.8, 0.9)
    assert (training.weight_decay, training.weight_decay_on) == (0.01, "all")
    kept = dict.fromkeys(("learning_rate", "max_iters", "eval_interval", "eval_iters"))
    state = train("cat", tokenization=None, **kept)
    assert state.step == 9
    assert not state.exact  # nobody knows what data that loop had
    assert {int(entry["step"]) for entry in read_bundle(FOLDER).optimizer()["state"].values()} == {
        9
    }


def test_a_converted_legacy_file_is_trained_on(fixtures, in_tmp, train):
    """The script that people convert with."""
    source = fixtures / "mypt" / "legacy_latest_char" / "latest.pt"
    shutil.copyfile(source, in_tmp / "latest.pt")
    model, _, step, optimizer = mypt.GPT.load_legacy("latest.pt")
    model.save_checkpoint_bundle(FOLDER, step=step, optimizer_state=optimizer)
    assert validate(FOLDER) == []
    training = read_bundle(FOLDER).training_state.training_config
    assert training.weight_decay_on == "all"
    assert (training.beta1, training.beta2) == tuple(optimizer["param_groups"][0]["betas"])
    kept = dict.fromkeys(("learning_rate", "eval_interval", "batch_size", "dropout"))
    data = str(fixtures / "mypt" / "datasets" / "dante_char")
    state = train("cat", tokenization=None, **kept, dataset_dir=data, max_iters=step + 2)
    assert state.step == step + 2
    assert not any("optimizer" in reason for reason in state.inexact_reasons)


@pytest.mark.parametrize("folder", [None, FOLDER])
@pytest.mark.parametrize("kind", [torch.optim.RMSprop, torch.optim.Adam])
def test_another_optimizer_is_refused_before_anything_is_written(
    kind, folder, model_of, fit, in_tmp
):
    model = model_of()
    before = weights(model)
    with pytest.raises(ConfigError, match=f"optimizer: is {kind.__name__}") as refused:
        fit(model, kind(model.parameters(), lr=0.1), folder)
    assert "\n" not in str(refused.value)
    assert same(weights(model), before)
    with pytest.raises(ConfigError, match="optimizer_state"):
        model.save_checkpoint_bundle(
            FOLDER, 1, kind(model.parameters(), lr=0.1, weight_decay=0.1).state_dict()
        )
    assert not FOLDER.exists()


def test_an_optimizer_of_some_parameters_trains_where_nothing_is_saved(model_of, fit, in_tmp):
    model = model_of()
    head = torch.optim.AdamW(model.lm_head.parameters(), lr=0.02)
    with pytest.raises(ConfigError, match="holds 1 of the model's 25 parameters"):
        fit(model, head, FOLDER)
    assert not FOLDER.exists()
    before = weights(model)
    assert fit(model, head).training_config.learning_rate == 0.02
    moved = [not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True)]
    assert moved == [False] * 24 + [True]
    assert head.param_groups[0]["lr"] == 0.02
    again = fit(model, max_iters=13)  # with what no bundle holds, nothing goes on
    assert "step 12: there was no optimizer state, so a fresh one begins" in again.inexact_reasons


def test_the_state_of_before_is_not_saved_as_another(model_of, fit, in_tmp):
    model = model_of()
    fit(model, of_rates(model))
    with pytest.raises(ConfigError, match="weight_decay_on: is linear, but the optimizer has all"):
        model.save_checkpoint_bundle(FOLDER, 12, training_config={"weight_decay_on": "linear"})
    model.save_checkpoint_bundle(FOLDER, 12)
    assert validate(FOLDER) == []
    assert len(read_bundle(FOLDER).optimizer()["param_groups"]) > 2


def test_what_is_given_and_the_optimizer_does_not_have_is_refused(model_of, fit, in_tmp):
    model = model_of()
    with pytest.raises(ConfigError, match=r"weight_decay: is 0.5, but the optimizer has 0.01"):
        fit(model, plain(model), FOLDER, weight_decay=0.5)
    with pytest.raises(ConfigError, match=r"beta1: is 0.5, but the optimizer_state has 0.9"):
        model.save_checkpoint_bundle(FOLDER, 1, plain(model).state_dict(), {"beta1": 0.5})
    with pytest.raises(ConfigError, match="step: is missing"):
        model.save_checkpoint_bundle(FOLDER, None, plain(model).state_dict())
    assert not FOLDER.exists()


def alter(change):
    """Change the contents of the optimizer's file, as another program might have written it."""
    contents = torch.load(FOLDER / "optimizer.pt", weights_only=True)
    change(contents)
    torch.save(contents, FOLDER / "optimizer.pt")
    (FOLDER / "manifest.json").unlink()


def test_a_lost_entry_is_told_and_makes_the_resume_inexact(train, in_tmp):
    train(max_iters=6)
    alter(lambda contents: contents["state"].pop("ln_f.bias"))
    (problem,) = validate(FOLDER)
    assert (problem.severity, problem.kind) == ("warning", "optimizer.entry")
    state = train(max_iters=8)
    assert not state.exact
    assert any("optimizer.pt has no moments of 1 parameter (" in r for r in state.inexact_reasons)


def test_frozen_parameters_have_no_entry_and_lack_none(train, in_tmp, stop_at):
    stop_at(4)
    train(freeze_layers=1, freeze_embeddings=True)
    stop_at(None)
    assert len(read_bundle(FOLDER).optimizer()["state"]) == 27 - 2 - 12
    assert validate(FOLDER) == []
    assert train(freeze_layers=1, freeze_embeddings=True).exact


def test_settings_that_the_optimizer_did_not_have_make_the_resume_inexact(train, in_tmp):
    train(max_iters=6)
    path = FOLDER / "training_state.json"
    document = json.loads(path.read_text())
    document["training_config"]["beta2"] = 0.5
    path.write_text(json.dumps(document))
    kinds = [problem.kind for problem in validate(FOLDER)]
    assert kinds == ["optimizer.settings", "optimizer.settings", "manifest.edited"]
    state = train(max_iters=8)
    assert any(
        "betas (0.9, 0.95), but training_config says (0.9, 0.5)" in r for r in state.inexact_reasons
    )
    assert read_bundle(FOLDER).optimizer()["param_groups"][0]["betas"] == (0.9, 0.5)


def rmsprop(contents):
    for entry in contents["state"].values():
        entry["square_avg"] = entry.pop("exp_avg_sq")
        del entry["exp_avg"]
    for group in contents["param_groups"]:
        del group["betas"]


def of_another_model(contents):
    contents["param_groups"][0]["params"][0] = "blocks.9.sa.qkv.weight"
    contents["state"] = {}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (rmsprop, "optimizer.algorithm"),
        (of_another_model, "optimizer.groups"),
        (lambda c: [g.update(amsgrad=True) for g in c["param_groups"]], "optimizer.algorithm"),
        (lambda c: c["state"]["ln_f.bias"].pop("exp_avg_sq"), "optimizer.form"),
    ],
)
def test_a_file_that_no_adamw_goes_on_with_is_refused_at_every_door(change, kind, train, in_tmp):
    train(max_iters=6)
    alter(change)
    problems = validate(FOLDER)
    assert {problem.kind for problem in problems if problem.severity == "error"} == {kind}
    mypt.load("cat").generate("the", 1)
    with pytest.raises(FormatError, match=r"optimizer\.pt"):
        train(max_iters=8)
    with pytest.raises(FormatError, match=r"optimizer\.pt"):
        mypt.CheckpointManager("cat").initialize_for_training(mypt.GPTConfig())
