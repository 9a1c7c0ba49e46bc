"""Every command that opens a model takes what the reader of another program's file asks for."""

import json
import pickle
import shlex
from pathlib import Path

import click
import pytest
import torch

import mypt
from mypt.cli.main import mypt_group
from mypt.cli.options.readers import parse_options
from mypt.data.prepare.tokens import Preparation, prepare
from mypt.format.errors import FormatError, UsageError
from mypt.format.validate import is_valid, validate

SIZES = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 8, "vocab_size": 3}
TRAIN = "--input_file input.txt --max_iters 1 --eval_iters 1 --device cpu"
# How each command opens a model, and what it says when it has done so.
DOORS = {
    "inspect": ("inspect --model_name n.pt", "Legacy format, read by nanogpt"),
    "generate": ("generate --model_name n.pt --prompt a --max_new_tokens 1", "a"),
    "export": ("export --to hf --model_name n.pt --output out", "exported"),
    "merge": ("merge n.pt --output out", "is a whole model already"),
    "compare": ("compare n.pt cat", "config.n_layer"),
    "plot": ("plot n.pt", "its log is not at"),
    "format validate": ("format validate n.pt", "n.pt: valid"),
    "format migrate": ("format migrate n.pt --output out", "migrated"),
    "train": (f"train --model_name new --init_from_model n.pt {TRAIN}", "Training finished!"),
    "rerun": ("rerun n.pt", "nobody knows how the model was trained"),
    "data prepare": ("data prepare input.txt --output out --from_model n.pt", "train: "),
    "chat": ("chat n.pt", "was not trained on conversations"),
    "data preferences": (
        "data preferences pairs.jsonl --output out --from_model n.pt",
        "needs special tokens that the model does not have",
    ),
    "data inspect": ("data inspect prepared --from_model n.pt", "train: "),
    "data chats": ("data chats chats.jsonl --output out --from_model n.pt", "characters"),
}
# Nobody has trained it here, it is no adapter, and its characters are not those of a chat: so say
# these.
LATER_ERRORS = {"plot": 2, "merge": 2, "chat": 1, "data chats": 1, "rerun": 1}
LATER_ERRORS |= {"data preferences": 1}
# They open no model, or, as `list` does, what there is of it, and go on.
TAKES_NONE = {
    "completion",
    "configs",
    "data join",
    "doctor",
    "list",
    "plugins",
    "plugins list",
    "plugins new",
}


def state_dict():
    width = SIZES["n_embd"]
    tensors = {
        "transformer.wte.weight": torch.randn(3, width),
        "transformer.wpe.weight": torch.randn(8, width),
        "transformer.ln_f.weight": torch.ones(width),
        "transformer.h.0.ln_1.weight": torch.ones(width),
        "transformer.h.0.ln_2.weight": torch.ones(width),
        "transformer.h.0.attn.c_attn.weight": torch.zeros(3 * width, width),
        "transformer.h.0.attn.c_proj.weight": torch.zeros(width, width),
        "transformer.h.0.mlp.c_fc.weight": torch.zeros(4 * width, width),
        "transformer.h.0.mlp.c_proj.weight": torch.zeros(width, 4 * width),
    }
    return tensors | {"lm_head.weight": tensors["transformer.wte.weight"]}


@pytest.fixture
def n_pt(in_tmp):
    """A checkpoint of nanoGPT that does not say its characters, beside a bundle and data."""
    torch.manual_seed(0)
    args = SIZES | {"bias": False, "dropout": 0.0}
    torch.save({"model": state_dict(), "model_args": args}, "n.pt")
    (in_tmp / "checkpoints").mkdir()
    tokenizer = mypt.load_plugins().tokenizer("char").train("abc")
    mypt.GPT(mypt.GPTConfig(**SIZES | {"n_layer": 2}), tokenizer).save("checkpoints/cat")
    (in_tmp / "input.txt").write_text("abcab" * 40)
    turns = [[{"role": "user", "content": "a" * n}] for n in range(1, 20)]
    lines = [json.dumps({"messages": [*turn, turn[0] | {"role": "assistant"}]}) for turn in turns]
    (in_tmp / "chats.jsonl").write_text("\n".join(lines))
    (in_tmp / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}')
    wanted = Preparation(inputs=("input.txt",), output=Path("prepared"), tokenizer=tokenizer)
    prepare(wanted, mypt.load_plugins())
    return Path("n.pt")


def commands(group, prefix=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))
        yield " ".join((*prefix, name)), command


def test_every_command_opens_a_model_with_options_or_not_at_all():
    found = dict(commands(mypt_group))
    groups = {name for name, command in found.items() if isinstance(command, click.Group)}
    assert found.keys() - groups - TAKES_NONE == DOORS.keys()
    for name in DOORS:
        flags = {flag for parameter in found[name].params for flag in parameter.opts}
        assert "--option" in flags, name


@pytest.mark.parametrize("name", DOORS)
def test_what_a_file_leaves_open_is_asked_for_and_taken(cli, n_pt, name):
    words, said = DOORS[name]
    code, out, err = cli(*shlex.split(words))
    assert code == 1
    assert "--option chars=..." in out + err
    code, out, err = cli(*shlex.split(words), "--option", "chars=abc")
    assert code == LATER_ERRORS.get(name, 0), err
    assert said in out + err


@pytest.mark.parametrize("name", DOORS)
def test_an_option_that_nobody_takes_is_refused_by_its_name(cli, n_pt, name):
    words, _ = DOORS[name]
    code, _, err = cli(*shlex.split(words), "--option", "chras=abc")
    assert code == 2
    whose = "the exporter hf or the reader nanogpt" if name == "export" else "the reader nanogpt"
    assert f"--option chras: is not an option of {whose} (did you mean `chars`?)" in err


def test_an_option_of_one_of_two_models_is_accepted(cli, n_pt, fixtures):
    lora = fixtures / "foreign" / "build_llm_lora"
    (path,) = lora.glob("*.pt")
    Path("table.pkl").write_bytes(pickle.dumps({"itos": dict(enumerate("abc"))}))
    told = (*("--option", "meta=table.pkl"), *("--option", "lora_alpha=32"))
    told += ("--option", f"training_text={lora}/advice_letters.txt")
    code, out, err = cli("compare", n_pt, path, "cat", *told)
    assert code == 0, err
    assert "build_llm" in out
    code, _, err = cli("compare", "cat", "cat", "--option", "chars=abc")
    assert code == 2
    assert "--option chars: only applies to checkpoints of other programs" in err


def test_a_tree_takes_an_option_that_any_of_it_takes(cli, n_pt):
    Path("tree").mkdir()
    n_pt.rename("tree/n.pt")
    Path("checkpoints/cat").rename("tree/cat")
    code, out, _ = cli("format", "validate", "tree", "--option", "chars=abc")
    assert code == 0
    assert "2 checked, 0 invalid" in out
    for words in (("validate", "tree"), ("migrate", "tree", "--all")):
        code, _, err = cli("format", *words, "--option", "chras=abc")
        assert code == 2
        assert "(did you mean `chars`?)" in err
    code, out, _ = cli("format", "migrate", "tree", "--all", "--option", "chars=abc")
    assert code == 0
    assert "1 checkpoints, 0 failed" in out


def test_the_command_of_a_run_may_be_repeated_with_its_options(cli, n_pt):
    words = shlex.split(DOORS["train"][0])
    for steps in ("1", "2"):
        code, _, err = cli(*words, "--option", "chars=abc", "--max_iters", steps)
        assert code == 0, err
    assert mypt.get_model_info("new")["training_state"]["step"] == 2
    code, _, err = cli(*shlex.split(f"train --model_name other {TRAIN} --option chars=abc"))
    assert code == 2
    assert "--option chars: is for the reader of another program's checkpoint" in err


def test_a_run_that_began_with_a_file_is_done_again_with_its_options(cli, n_pt):
    words = shlex.split(DOORS["train"][0])
    assert cli(*words, "--option", "chars=abc")[0] == 0
    code, _, err = cli("rerun", "new")
    assert code == 1
    assert "--option chars=..." in err
    code, out, err = cli("rerun", "new", "--option", "chars=abc")
    assert code == 0, err
    assert out.endswith("  Its weights are those of checkpoints/new, byte for byte\n")
    assert (
        cli("train", "--model_name", "cat", "--input_file", "input.txt", "--max_iters", "1")[0] == 0
    )
    code, _, err = cli("rerun", "cat", "--option", "chars=abc")
    assert code == 2
    assert "--option chars: is for the reader of another program's checkpoint" in err


def test_a_folder_of_another_program_is_resumed_with_its_options(cli, n_pt):
    folder = Path("checkpoints/theirs")
    folder.mkdir()
    n_pt.rename(folder / "ckpt.pt")
    words = shlex.split(f"train --model_name theirs {TRAIN}")
    assert "--option chars=..." in cli(*words)[2]
    for _ in range(2):
        code, _, err = cli(*words, "--option", "chars=abc")
        assert code == 0, err
    assert mypt.get_model_info("theirs")["format"] == "2.0"


def test_a_file_among_the_models_is_not_written_over(refused, n_pt):
    n_pt.rename("checkpoints/n.pt")
    before = Path("checkpoints/n.pt").read_bytes()
    words = shlex.split(f"train --model_name n.pt {TRAIN} --option chars=abc")
    line = refused(*words, code=2)
    assert "is a file, where the folder of the model would be written" in line
    assert "--init_from_model checkpoints/n.pt" in line
    assert Path("checkpoints/n.pt").read_bytes() == before


def test_python_takes_the_same_options(n_pt):
    options = {"chars": "abc"}
    assert mypt.GPT.load(n_pt, options=options).tokenizer.n_vocab == 3
    model, *_ = mypt.GPT.load_legacy(n_pt, options=options)
    assert model.tokenizer.n_vocab == 3
    folder = Path("checkpoints/theirs")
    folder.mkdir()
    n_pt.rename(folder / "ckpt.pt")
    manager = mypt.CheckpointManager("theirs")
    assert manager.load_for_inference("theirs", options=options).tokenizer.n_vocab == 3
    with pytest.raises(FormatError, match="--option chars"):
        manager.initialize_for_training(mypt.GPTConfig())
    manager.initialize_for_training(mypt.GPTConfig(), options=options)
    readers = tuple(mypt.load_plugins().readers.values())
    assert not is_valid(validate(folder, readers=readers))
    assert is_valid(validate(folder, readers=readers, options=options))
    with pytest.raises(UsageError, match="chras"):
        validate(folder, readers=readers, options={"chras": "abc"})


def test_reader_options_are_numbers_lists_or_text():
    assert parse_options(["lora_alpha=32.0", 'chars=["a"]', "training_text=a=b.txt"]) == {
        "lora_alpha": 32.0,
        "chars": ["a"],
        "training_text": "a=b.txt",
    }
