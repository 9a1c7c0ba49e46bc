"""Write the checkpoints of other programs with those programs, and the logits that they compute.

Run as `python -m tests.golden.write_checkpoints MYPT NANOGPT BUILD_LLM`, with clones of the earlier
MyPT, of nanoGPT and of build_llm_karpathy. Each program trains in a folder of its own, by its own
script. Weights differ from machine to machine, so a checkpoint that exists is left alone.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import torch
from attrs import field, frozen

HERE = Path(__file__).resolve().parent
TEXT, PROMPT = HERE / "inferno.txt", "la vi"
SHAPE = {"block_size": 8, "n_embd": 8, "n_head": 2, "n_layer": 2, "dropout": 0.1, "batch_size": 2}
STEPS = {"max_iters": 7, "eval_interval": 3, "eval_iters": 1, "learning_rate": 0.01}


@frozen
class Source:
    """How a program writes one checkpoint.

    Attributes:
        program: Its name, as a user knows it.
        commit: Of its repository.
        train: Trains in the folder that holds the program.
        compute: Code that sets `model` and `ids`, where `path` is the checkpoint.
        written: What is kept of that folder, by pattern; the first is the checkpoint.
        options: What mypt has to be told of the checkpoint.
    """

    program: str
    commit: str
    train: Callable[[Path], None]
    compute: str
    written: tuple[str, ...]
    options: dict[str, object] = field(factory=dict)


def unpack(clone, commit, place):
    """Put what a commit holds into a folder, but for what is no code."""
    listed = ["git", "-C", str(clone), "ls-tree", "-r", "--name-only", commit]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines()
    names = [name for name in names if name.endswith(".py")]
    archive = ["git", "-C", str(clone), "archive", commit, "--", *names]
    with tarfile.open(fileobj=BytesIO(subprocess.run(archive, capture_output=True).stdout)) as tar:
        tar.extractall(place, filter="data")


def edit(path, changes):
    """Change a script as its user does."""
    text = path.read_text("utf-8")
    for there, wanted in changes.items():
        assert there in text, f"{path.name} lacks {there!r}"
        text = text.replace(there, wanted)
    path.write_text(text, "utf-8")


def run(place, words, **environment):
    """Run Python in a folder; return what it says. Later MyPTs ask whether to go on."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    command = [sys.executable, *words]
    yes = "y\n" * 9
    done = subprocess.run(command, cwd=place, env=env, input=yes, capture_output=True, text=True)
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


# --- the earlier MyPT

COMPUTE_MYPT = """
try:
    from core.model import GPT, GPTConfig
    from core.tokenizer import Tokenizer
except ImportError:
    from model import GPT, GPTConfig
    from tokenizer import Tokenizer

if path.is_dir():
    held = torch.load(path / "model.pt")
    config, state = (json.loads((path / f"{n}.json").read_text()) for n in ("config", "tokenizer"))
    weights = held.get("state_dict", held)
else:
    held = torch.load(path)
    config, state, weights = held["config"], held["tokenizer"], held["model_state_dict"]
config = GPTConfig(**config)
tokenizer = Tokenizer(config, "char")
tokenizer.chars = state["chars"]
try:
    model = GPT(config, tokenizer=tokenizer)
except TypeError:
    model = GPT(config)
model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
ids = [state["chars"].index(char) for char in prompt]
"""
# The first release has no flags: its user edits the script.
EDITS = {
    "GPTConfig()": f"GPTConfig(vocab_size=64, device='cpu', **{SHAPE})",
    "tokenization ='gpt2'": "tokenization ='char'",
    "max_iters=1000": "max_iters=7",
    "eval_interval= 20": "eval_interval= 3",
    "eval_iters=200": "eval_iters=1",
}


def train_mypt(place, **shape):
    """Train a model whose shape the flags give."""
    run_mypt(place, {**SHAPE, **shape})


def train_mypt_by_file(place, **config):
    """Train a model whose config is in a file, as later releases want it."""
    config = {**SHAPE, "vocab_size": 50304, "bias": False, **config}
    (place / "dante.json").write_text(json.dumps(config), "utf-8")
    run_mypt(place, {"config_file": "dante.json"})


def run_mypt(place, flags):
    shutil.copy(TEXT, place)
    flags = {**STEPS, "input_file": TEXT.name, "tokenization": "char", **flags}
    words = (word for name, value in flags.items() for word in (f"--{name}", str(value)))
    run(place, ("train.py", "--model_name", "dante", *words))


def train_first_mypt(place):
    shutil.copy(TEXT, place / "input_dante.txt")
    edit(place / "train.py", EDITS)
    run(place, ["train.py"])


def mypt(commit, written, train=train_mypt, **config):
    train = partial(train, **config)
    return Source("MyPT", commit, train, COMPUTE_MYPT, (f"checkpoints/{written}",))


# --- nanoGPT

COMPUTE_NANOGPT = """
import pickle
from model import GPT, GPTConfig

held = torch.load(path)
model = GPT(GPTConfig(**held["model_args"]))
names = {name: name.removeprefix("_orig_mod.") for name in held["model"]}
model.load_state_dict({names[name]: tensor for name, tensor in held["model"].items()})
stoi = pickle.loads(path.with_name("meta.pkl").read_bytes())["stoi"]
ids = [stoi[char] for char in prompt]
# Without targets it computes the last position alone.
model.logits = lambda idx: model(idx, idx)[0]
"""


def train_nanogpt(place, **chosen):
    data = place / "data" / "shakespeare_char"
    shutil.copy(TEXT, data / "input.txt")
    run(place, ["data/shakespeare_char/prepare.py"])
    settings = {**SHAPE, **STEPS, "dataset": data.name, "device": "cpu", "dtype": "float32"}
    settings |= {"gradient_accumulation_steps": 1, "warmup_iters": 1, "lr_decay_iters": 7}
    settings |= chosen
    words = (f"--{name}={value}" for name, value in settings.items())
    run(place, ["train.py", *words])


def nanogpt(**settings):
    train = partial(train_nanogpt, **settings)
    kept = ("out/ckpt.pt", "data/shakespeare_char/meta.pkl")
    commit = "3adf61e154c3fe3fca428ad6bc3818b27a3b8291"
    return Source("nanoGPT", commit, train, COMPUTE_NANOGPT, kept)


# --- nanoGPT's model in a module of PyTorch Lightning, which names its attribute in every tensor

SAVE_LIGHTNING = """
import pytorch_lightning, torch
from model import GPT, GPTConfig

class Module(pytorch_lightning.LightningModule):
    def __init__(self, lr, **sizes):
        super().__init__()
        self.save_hyperparameters()
        self.model = GPT(GPTConfig(**sizes))

    def training_step(self, batch, _):
        return self.model(batch, batch)[1]

    def configure_optimizers(self):
        return torch.optim.AdamW(self.model.parameters(), lr=self.hparams.lr)

torch.manual_seed(1)
sizes = dict(block_size=8, n_embd=8, n_head=2, n_layer=2, vocab_size=31, bias=False, dropout=0.1)
trainer = pytorch_lightning.Trainer(max_steps=7, accelerator="cpu", logger=False,
                                    enable_checkpointing=False, enable_progress_bar=False)
data = torch.utils.data.DataLoader(torch.randint(31, (14, 8)), batch_size=2)
trainer.fit(Module(0.01, **sizes), data)
trainer.save_checkpoint("last.ckpt", weights_only=True)
"""
COMPUTE_LIGHTNING = """
from model import GPT, GPTConfig

held = torch.load(path)
sizes = {name: value for name, value in held["hyper_parameters"].items() if name != "lr"}
model = GPT(GPTConfig(**sizes))
tensors = held["state_dict"].items()
model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors})
ids = [3, 0, 30, 7, 7]
model.logits = lambda idx: model(idx, idx)[0]
"""


def lightning():
    return Source(
        "PyTorch Lightning",
        "3adf61e154c3fe3fca428ad6bc3818b27a3b8291",  # of nanoGPT, whose model it is
        lambda place: run(place, ["-c", SAVE_LIGHTNING]),
        COMPUTE_LIGHTNING,
        ("last.ckpt",),
        {"tokenizer": "none"},
    )


# --- build_llm_karpathy

COMPUTE_BUILD_LLM = """
from models.bigram_lm_v2 import BigramLanguageModel
from models.bigram_lm_v2_lora import BigramLanguageModelLoRA

held = torch.load(path)
told = held["hyperparameters"]
shape = {name: told[name] for name in ("n_embd", "block_size", "device", "n_head", "n_layer")}
shape |= {"vocab_size": held["vocab_size"], "dropout": 0.0}
if told["use_lora"]:
    model = BigramLanguageModelLoRA(**shape, lora_rank=2, lora_alpha=6.0)
else:
    model = BigramLanguageModel(**shape)
model.load_state_dict(held["model_state_dict"])
chars = sorted(set(path.with_name("inferno.txt").read_text("utf-8")))
ids = [chars.index(char) for char in prompt]
"""


def train_build_llm(place, **environment):
    (place / "sources").mkdir(exist_ok=True)
    shutil.copy(TEXT, place / "sources")
    # Its sizes are no variables, so its user edits them.
    sizes = {"n_embd = 256": "n_embd = 8", "n_head = 4": "n_head = 2", "n_layer = 4": "n_layer = 1"}
    edit(place / "training" / "config.py", {**sizes, "eval_iters = 50": "eval_iters = 1"})
    environment |= {"TRAINING_DATA_SOURCE": f"sources/{TEXT.name}", "DEVICE": "cpu"}
    environment |= {"BATCH_SIZE": "2", "BLOCK_SIZE": "8", "TRAINING_STEPS": "6"}
    environment |= {"LEARNING_RATE": "0.01", "ENABLE_CHECKPOINTS": "true"}
    run(place, ["training.py"], **environment)


def build_llm(environment, **options):
    train = partial(train_build_llm, **environment)
    kept = ("checkpoints/*.pt", "sources/inferno.txt")
    options = {"training_text": "inferno.txt", **options}
    commit = "4eff6704d48b22e06c269dd3cfacd37742a546a0"
    return Source("build_llm_karpathy", commit, train, COMPUTE_BUILD_LLM, kept, options)


# --- transformers

COMPUTE_TRANSFORMERS = """
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
ids = [3, 1, 4, 1, 5]
model.logits = lambda idx: model(idx).logits
"""
SAVE_GPT2 = """
import torch, transformers
torch.manual_seed(0)
config = transformers.GPT2Config(vocab_size=36, n_positions=8, n_embd=8, n_layer=2, n_head=2)
transformers.GPT2LMHeadModel(config).save_pretrained("saved")
"""
SAVE_LLAMA = """
import torch, transformers
torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=36, hidden_size=8, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=2, max_position_embeddings=8, tie_word_embeddings=False,
)
transformers.LlamaForCausalLM(config).save_pretrained("saved")
"""


# --- torch.distributed.checkpoint, of a model of transformers

SAVE_DCP = """
import torch, transformers, torch.distributed.checkpoint as dcp
torch.manual_seed(0)
config = transformers.GPT2Config(vocab_size=36, n_positions=8, n_embd=8, n_layer=1, n_head=2)
config.architectures = ["GPT2LMHeadModel"]
model = transformers.GPT2LMHeadModel(config)
dcp.save({"model": model.state_dict(), "step": 3}, checkpoint_id="saved")
config.to_json_file("saved/config.json")
"""
COMPUTE_DCP = """
import transformers, torch.distributed.checkpoint as dcp
config = transformers.GPT2Config.from_json_file(path / "config.json")
model = transformers.GPT2LMHeadModel(config)
dcp.load({"model": model.state_dict()}, checkpoint_id=path)
ids = [3, 1, 4, 1, 5]
model.logits = lambda idx: model(idx).logits
"""


def torch_dcp():
    train = partial(run, words=("-c", SAVE_DCP))
    options = {"like": "config.json", "tokenizer": "none"}
    return Source("torch", "2.13.0", train, COMPUTE_DCP, ("saved",), options)


def transformers(code):
    train = partial(run, words=("-c", code))
    return Source("transformers", "5.23.0", train, COMPUTE_TRANSFORMERS, ("saved",))


MODERN = {"pos_encoding": "rope", "mlp_type": "swiglu", "norm_type": "rmsnorm", "tie_weights": True}
LAST_MYPT = "dc62a0ca75335ed6aa54a216b4a3834d9fd13fd1"
LORA = {"USE_LORA": "true", "LORA_RANK": "2", "LORA_ALPHA": "6.0"}
SOURCES = {
    "mypt_gpt_step": mypt(
        "96b025a8fcc80a1e105ff7028a981aa890f3adff", "gpt_step_6.pt", train_first_mypt
    ),
    "mypt_latest": mypt("dd8dab16201b0889e74267f04d0802544665141c", "dante/latest.pt"),
    "mypt_final": mypt("0dc1c1ade48c4b4a95694d466c2d3dbb19c90818", "dante/final.pt", n_layer=1),
    "mypt_bundle": mypt("a03e49786b917e7358a711e607557501d39b6a83", "dante", n_layer=1),
    "mypt_bundle_config": mypt("fd3eedbe22ef79ac889a6032dfc7a10c417d4404", "dante", n_layer=1),
    "mypt_bundle_bf16": mypt(
        "b23546ed2c754dded53fd221bcd031fd287900fc", "dante", train_mypt_by_file, n_layer=1
    ),
    "mypt_bundle_fused": mypt(
        "cb23b8546988530a2c5a2a7859d2c00712103ac5", "dante", train_mypt_by_file
    ),
    "mypt_bundle_modern": mypt(LAST_MYPT, "dante", train_mypt_by_file, **MODERN),
    "mypt_bundle_fp16": mypt(LAST_MYPT, "dante_fp16", train_mypt_by_file, **MODERN),
    "nanogpt": nanogpt(compile=False),
    "nanogpt_compiled": nanogpt(compile=True, bias=True),
    "lightning_nanogpt": lightning(),
    "build_llm": build_llm({}),
    "build_llm_lora": build_llm(LORA, lora_alpha=6.0),
    "hugging_face_gpt2": transformers(SAVE_GPT2),
    "hugging_face_llama": transformers(SAVE_LLAMA),
    "torch_dcp": torch_dcp(),
}

BEFORE = """
import json, sys
from pathlib import Path
import numpy as np
import torch

path, target, prompt = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
"""
AFTER = """
model.float().eval()
with torch.no_grad():
    idx = torch.tensor([ids])
    logits = model.logits(idx) if hasattr(model, "logits") else model(idx)[0]
np.save(target / "expected_logits.npy", logits.float().numpy())
print(json.dumps(ids))
"""


def write(name, source, clone):
    """Let a program train and save, and write down what it computes of what it saved."""
    target = HERE / name
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if clone is not None:
            unpack(clone, source.commit, place)
        source.train(place)
        checkpoint = target / "checkpoint"
        checkpoint.mkdir(parents=True)
        written = [max(place.glob(pattern)) for pattern in source.written]
        for path in written:
            if path.is_dir():
                shutil.copytree(path, checkpoint, dirs_exist_ok=True)
            else:
                shutil.copy(path, checkpoint)
        if written[0].is_file():
            checkpoint /= written[0].name
        code = BEFORE + source.compute + AFTER
        said = run(place, ["-c", code, str(checkpoint), str(target), PROMPT])
    expected = {
        "program": source.program,
        "commit": source.commit,
        "checkpoint": checkpoint.relative_to(target).as_posix(),
        "options": source.options,
        "prompt_ids": json.loads(said.splitlines()[-1]),
    }
    (target / "expected.json").write_text(json.dumps(expected) + "\n", "utf-8")
    note = f"Written by {source.program}, {source.commit}, with PyTorch {torch.__version__}.\n"
    (target / "README.md").write_text(note, "utf-8")


def main(mypt_clone, nanogpt_clone, build_llm_clone):
    clones = {"MyPT": mypt_clone, "build_llm_karpathy": build_llm_clone}
    clones |= dict.fromkeys(("nanoGPT", "PyTorch Lightning"), nanogpt_clone)
    for name, source in SOURCES.items():
        if not (HERE / name).exists():
            write(name, source, clones.get(source.program))


if __name__ == "__main__":
    main(*sys.argv[1:])
