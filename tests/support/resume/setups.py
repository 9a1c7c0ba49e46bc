"""What is trained to be interrupted: tiny models with dropout, accumulation and evaluation sets."""

import json

SHAPE = {"block_size": 8, "n_embd": 16, "n_head": 2, "n_layer": 2, "batch_size": 2, "dropout": 0.2}
RUN = {"max_iters": 40, "eval_interval": 8, "eval_iters": 2, "grad_accum_steps": 3}
RUN |= {"learning_rate": 0.04, "warmup_iters": 3, "snapshot_interval": 12, "keep_snapshots": 2}
RUN |= {"gold_guards": {"trend": {"max_rises": 1}}}
EVAL_SETS = {"eval_sets": {"short": "short.txt", "long": "long.txt"}}
PHASES = [
    {"name": "first", "until_iter": 18, "input_file": "cats.txt"},
    {"name": "second", "until_iter": 24, "input_file": ["dogs.txt", "short.txt"]},
    {"name": "third", "input_file": "long.txt"},
]
# What is trained, by name: flags beyond those of all runs.
SETUPS = {
    "curriculum": {**EVAL_SETS, "curriculum": PHASES, "gold_metric": {"val": 2, "short": 1}},
    "epochs": {
        "input_file": ["cats.txt", "dogs.txt"],
        "sampling": "epoch",
        "activation_checkpointing": True,
        "freeze_layers": 1,
        "eval_sets": {"long": "long.txt"},
    },
    # Saves between evaluations, and a mean of the weights that decides on gold.
    "averaged": {
        "input_file": "long.txt",
        "ema": 0.8,
        "gold_metric": {"ema": 1},
        "save_interval": 3,
        "freeze_embeddings": True,
    },
    "muon": {
        "input_file": "cats.txt",
        "optimizer": "muon",
        "optimizer_options": {"muon_learning_rate": 0.01},
        "tie_weights": True,
        "bias": False,
        "freeze_layers": 1,
        "activation_checkpointing": True,
    },
    "adafactor": {"input_file": "cats.txt", "optimizer": "adafactor", "weight_decay_on": "all"},
    "sgd": {
        "input_file": "cats.txt",
        "optimizer": "sgd",
        "optimizer_options": {"momentum": 0.8, "nesterov": True},
        "freeze_embeddings": True,
    },
    "plain": {"input_file": "cats.txt", "optimizer": "sgd", "optimizer_options": {"momentum": 0}},
}


def arguments(setup, **fields):
    """Give the arguments of `mypt train`, in the order of the fields."""
    flags = {"model_name": "dante", "tokenization": "char", "device": "cpu"}
    flags |= {**SHAPE, **RUN, **SETUPS[setup], **fields}
    given = []
    for flag, value in flags.items():
        if isinstance(value, bool):
            given.append(f"--{flag}" if value else f"--no_{flag}")
        elif flag == "input_file" and isinstance(value, list):
            given += [part for name in value for part in ("--input_file", name)]
        else:
            said = value if isinstance(value, str) else json.dumps(value)
            given += [f"--{flag}", said]
    return given


def prepare(place):
    """Put the texts of all runs into a new folder."""
    place.mkdir(parents=True)
    cats = "".join(f"line {i}: the cat sat on the mat, {i * i} times.\n" for i in range(60))
    (place / "cats.txt").write_text(cats)
    (place / "dogs.txt").write_text(cats.replace("cat", "dog").replace("mat", "hat"))
    (place / "short.txt").write_text("a dog has met a cat, and a cat a dog. " * 4)
    (place / "long.txt").write_text("the hat is on the mat: 1, 2, 3 times it sat.\n" * 30)
    return place
