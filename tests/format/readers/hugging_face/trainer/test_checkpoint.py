"""Folders as transformers' Trainer writes them: real models, trained by torch's AdamW as it is."""

import json

import pytest
import torch
import torch.nn.functional as F

import mypt
from mypt.api.checkpoint_manager import resume
from mypt.format.errors import FormatError
from mypt.format.open import open_checkpoint
from mypt.format.validate import is_valid, validate

IDS = torch.arange(40).reshape(4, 10) * 7 % 61
SIZES = {
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 16,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
WIDE = {**SIZES, "intermediate_size": 48}
ALL_HEADS = {**WIDE, "num_key_value_heads": 2}
NO_DROPOUT = {"attention_dropout": 0.0, "hidden_dropout": 0.0}
FAMILIES = {
    "gpt2": {**SIZES, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "gpt_neox": {**WIDE, **NO_DROPOUT},
    "llama": {**ALL_HEADS, "attention_bias": True},
    "qwen2": ALL_HEADS,
    "qwen3": {**ALL_HEADS, "head_dim": 8},
    "gemma2": {**ALL_HEADS, "head_dim": 8, "sliding_window": 8},
    "olmo2": ALL_HEADS,
    "phi": {**WIDE, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
    "phi3": ALL_HEADS,
    "opt": {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0},
    "bloom": {"vocab_size": 61, "hidden_size": 32, "n_layer": 2, "n_head": 4, **NO_DROPOUT},
    "starcoder2": {**ALL_HEADS, "residual_dropout": 0.0, "embedding_dropout": 0.0},
}


def group_parameters(transformers, model, weight_decay):
    """What Trainer.create_optimizer makes, with its own rule of what decays."""
    decays = transformers.Trainer.get_decay_parameter_names(None, model)
    named = [*model.named_parameters()]
    return [
        {"params": [p for n, p in named if n in decays], "weight_decay": weight_decay},
        {"params": [p for n, p in named if n not in decays], "weight_decay": 0.0},
    ]


class Run:
    """A model in training, and its folder."""

    def __init__(self, transformers, folder, family, **changed):
        torch.manual_seed(3)
        config = transformers.CONFIG_MAPPING[family](**{**FAMILIES[family], **changed})
        config._attn_implementation = "eager"
        self.model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in self.model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        groups = group_parameters(transformers, self.model, 0.3)
        self.optimizer = torch.optim.AdamW(groups, lr=5e-3, betas=(0.9, 0.98), eps=1e-6)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda n: 1 - n / 20)
        self.folder = folder / "checkpoint-3"
        self.step = 0

    def compute_loss(self):
        logits = self.model(IDS).logits[:, :-1].flatten(0, 1)
        return F.cross_entropy(logits, IDS[:, 1:].flatten())

    def update(self):
        self.optimizer.zero_grad()
        self.compute_loss().backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1

    def save(self, *, safe=True, optimizer=None):
        self.model.save_pretrained(self.folder)
        if not safe:
            (self.folder / "model.safetensors").unlink()
            torch.save(self.model.state_dict(), self.folder / "pytorch_model.bin")
        vocab = {chr(200 + number): number for number in range(61)}
        tokenizer = {"added_tokens": [], "model": {"type": "BPE", "vocab": vocab, "merges": []}}
        (self.folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        held = self.optimizer.state_dict() if optimizer is None else optimizer
        torch.save(held, self.folder / "optimizer.pt")
        torch.save(self.schedule.state_dict(), self.folder / "scheduler.pt")
        torch.save({"cpu": torch.get_rng_state()}, self.folder / "rng_state.pth")
        (self.folder / "training_args.bin").write_bytes(b"never read")
        progress = {
            "global_step": self.step,
            "max_steps": 20,
            "num_input_tokens_seen": 120,
            "train_batch_size": 4,
            "log_history": [{"loss": float("nan"), "step": 1}],
        }
        (self.folder / "trainer_state.json").write_text(json.dumps(progress))
        return self.folder


@pytest.fixture
def run(transformers, tmp_path):
    def start(family="gpt2", **changed):
        made = Run(transformers, tmp_path, family, **changed)
        for _ in range(3):
            made.update()
        return made

    return start


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_goes_on_as_in_transformers(run, plugins, family, safe):
    """The same updates on the same batches give the same losses."""
    theirs = run(family)
    opened = open_checkpoint(theirs.save(safe=safe), plugins)
    training = opened.training_state.training_config
    model, ours, step = resume(opened, training, plugins, torch.device("cpu"))
    assert step == 3
    theirs.model.train()
    for _ in range(3):
        rate = theirs.optimizer.param_groups[0]["lr"]
        for group in ours.param_groups:
            group["lr"] = rate
        theirs.update()
        ours.zero_grad()
        model.train().loss(IDS[:, :-1], IDS[:, 1:]).backward()
        ours.step()
        wanted = theirs.compute_loss().item()
        found = model.loss(IDS[:, :-1], IDS[:, 1:]).item()
        assert found == pytest.approx(wanted, abs=2e-5)


def test_what_the_folder_says_of_its_training_comes_along(run, plugins):
    folder = run().save()
    assert is_valid(validate(folder, plugins.layouts, tuple(plugins.readers.values())))
    opened = open_checkpoint(folder, plugins)
    state = opened.training_state
    training = state.training_config
    assert (state.step, state.tokens_processed, state.exact) == (3, 120, False)
    assert (training.max_iters, training.learning_rate, training.weight_decay) == (20, 5e-3, 0.3)
    assert (training.beta1, training.beta2, training.weight_decay_on) == (0.9, 0.98, "matrices")
    assert opened.config.batch_size == 4
    assert {group["eps"] for group in opened.optimizer()["param_groups"]} == {1e-6}
    assert any("training_args.bin is not read" in note for note in opened.notes)


def write_adafactor(run):
    state = {n: {"step": 1, "exp_avg_sq_row": torch.ones(2)} for n in range(3)}
    return {"state": state, "param_groups": run.optimizer.state_dict()["param_groups"]}


def write_8_bit(run):
    held = run.optimizer.state_dict()
    for state in held["state"].values():
        state |= {"state1": torch.zeros(3, dtype=torch.uint8)}
    return held


def write_amsgrad(run):
    held = run.optimizer.state_dict()
    for group in held["param_groups"]:
        group["amsgrad"] = True
    return held


def write_another_optimizer(run):
    held = run.optimizer.state_dict()
    for group in held["param_groups"]:
        group["correct_bias"] = True
    return held


def write_one_group(run):
    held = run.optimizer.state_dict()
    first, second = held["param_groups"]
    first["params"] += second["params"]
    return {**held, "param_groups": [first]}


def write_sgd(run):
    return torch.optim.SGD(run.model.parameters(), lr=0.1).state_dict()


def write_shuffled(run):
    held = run.optimizer.state_dict()
    held["state"][0], held["state"][1] = held["state"][1], held["state"][0]
    return held


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_adafactor, "of a parameter it keeps exp_avg_sq_row, step"),
        (write_8_bit, "of another optimizer than AdamW: of a parameter it keeps exp_avg, .*state1"),
        (write_amsgrad, "is of AdamW with amsgrad"),
        (write_another_optimizer, "of another optimizer than AdamW: it has correct_bias"),
        (write_one_group, r"has groups of \[28\] parameters, but the model has \[10, 18\]"),
        (write_sgd, "of another optimizer than AdamW: it has dampening, momentum, nesterov"),
        (write_shuffled, "has moments of shape"),
        (lambda run: [1], "is not one that AdamW saves, or of an unknown form"),
    ],
)
def test_another_optimizer_is_a_reason_not_to_resume_and_never_taken(run, plugins, write, message):
    theirs = run()
    folder = theirs.save(optimizer=write(theirs))
    opened = open_checkpoint(folder, plugins)
    with pytest.raises(FormatError, match=message):
        opened.optimizer()
    assert opened.training_state.step == 3
    with torch.no_grad():
        wanted = theirs.model.eval()(IDS).logits
        found = mypt.load(folder, plugins=plugins)(IDS)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "program"),
    [("global_step3", "DeepSpeed"), ("optimizer_0", "FSDP"), ("optimizer.bin", "FSDP")],
)
def test_the_states_of_other_ways_to_train_are_named(run, plugins, name, program):
    folder = run().save()
    (folder / "optimizer.pt").unlink()
    (folder / name).mkdir()
    with pytest.raises(FormatError, match=f"is in {name}, in the form of {program}"):
        open_checkpoint(folder, plugins).optimizer()


def test_a_folder_without_an_optimizer_begins_it_anew(run, plugins):
    folder = run().save()
    (folder / "optimizer.pt").unlink()
    opened = open_checkpoint(folder, plugins)
    assert opened.optimizer() is None
    assert any("the moments of AdamW begin anew" in note for note in opened.notes)


@pytest.mark.parametrize("text", ["[]", "{", '{"global_step": -1}', '{"global_step": "3"}'])
def test_a_damaged_state_keeps_from_training_alone(run, plugins, text):
    folder = run().save()
    (folder / "trainer_state.json").write_text(text)
    opened = open_checkpoint(folder, plugins)
    with pytest.raises(FormatError, match=r"trainer_state\.json"):
        opened.optimizer()
    assert opened.training_state is None
    mypt.load(folder, plugins=plugins)


def test_an_unknown_family_of_parameters_is_not_guessed(run, plugins, monkeypatch):
    from mypt.format.readers.hugging_face.trainer import parameter_order

    folder = run().save()
    monkeypatch.setattr(parameter_order, "MODULES", {})
    with pytest.raises(FormatError, match="in an order that mypt does not know"):
        open_checkpoint(folder, plugins).optimizer()
