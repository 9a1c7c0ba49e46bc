"""Descriptions of optimizer states by the names of parameters, of a model of four."""

from mypt.format.optimizers.declaration import ParameterInfo
from mypt.format.tensors.info import TensorInfo

SHAPES = {
    "token_embedding_table.weight": (5, 4),
    "blocks.0.ln1.weight": (4,),
    "blocks.0.sa.qkv.weight": (12, 4),
    "ln_f.weight": (4,),
}
PARAMETERS = {name: ParameterInfo(name, shape, "float32") for name, shape in SHAPES.items()}
QKV, (EMBEDDING, NORM, LAST) = (
    "blocks.0.sa.qkv.weight",
    (name for name in SHAPES if "qkv" not in name),
)
SETTINGS = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-8}


def moment(*shape, dtype="float32"):
    return TensorInfo(dtype, shape, (1,) * len(shape), "0", 0, 4)


def adamw(**changes):
    """A state of `linear` groups; `changes` are made in its second group."""
    state = {
        name: {"step": moment(), "exp_avg": moment(*shape), "exp_avg_sq": moment(*shape)}
        for name, shape in SHAPES.items()
    }
    groups = [
        {**SETTINGS, "weight_decay": 0.1, "params": [QKV]},
        {**SETTINGS, "weight_decay": 0.0, "params": [EMBEDDING, NORM, LAST], **changes},
    ]
    return {"optimizer": "adamw", "state": state, "param_groups": groups}


def mine():
    """A state of no optimizer that mypt has, of two groups with a rule each."""
    rows = {"rows": moment(12, dtype="float16"), "count": 3}
    state = {QKV: rows, **{n: {"momentum": moment(*SHAPES[n])} for n in SHAPES if n != QKV}}
    groups = [
        {"name": "rows", "lr": 0.1, "k": 3, "params": [QKV]},
        {"name": "rest", "lr": 0.1, "k": 3, "params": [EMBEDDING, NORM, LAST]},
    ]
    return {"optimizer": "mine", "state": state, "param_groups": groups}
