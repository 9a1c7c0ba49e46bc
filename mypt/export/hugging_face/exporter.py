"""Write a model as a folder of Hugging Face's `transformers`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mypt.export.hugging_face import names
from mypt.export.hugging_face.tokenizer import ENDS, GENERATION, TOKENIZER, make_documents
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import field_names
from mypt.format.errors import Problem
from mypt.format.tensors import safetensors
from mypt.plugins.contracts import ExporterFactory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set
    from pathlib import Path

    from mypt.plugins.contracts import ModelToExport, Options

_INSTEAD = "use mypt itself, or train a model without it"
_BUILT_IN = {
    "attention_type": "causal",
    "block_type": "pre_norm",
    "embedding_type": "token",
    "head_type": "linear",
    "stack_type": "sequential",
}
# The fields that are written, or are looked at below. Any other must mean what it means by default.
_EXPRESSED = frozenset(
    {
        *("batch_size", "block_size", "vocab_size", "n_embd", "n_head", "n_layer", "dropout"),
        *("bias", "device", "tie_weights", "pos_encoding", "mlp_type", "norm_type", "rope_theta"),
        *("rope_scale", "rope_scaling", "head_size", "mlp_hidden", "attn_scale", "norm_eps"),
        *("qkv_bias", "proj_bias", "mlp_bias", "norm_bias", "head_bias", "plugins"),
        *_BUILT_IN,
    }
)
_OF_LLAMA = frozenset({"n_kv_head"})


def explain(config: GPTConfig) -> list[Problem]:
    """Return why no class can compute what a config says; nothing if one can."""
    llama = config.pos_encoding == "rope"
    problems = _part_problems(config, llama)
    if config.has_head_bias:
        what = "is true: the output layer has a bias, which no class of Hugging Face's has"
        problems.append(Problem(_FILE, "/head_bias", what, "leave out --head_bias", kind=_KIND))
    if llama and config.has_norm_bias:
        problems.append(_make_problem("/norm_bias", "is true; LlamaForCausalLM's norms have none"))
    return problems


def write(model: ModelToExport, path: Path, _: Options) -> list[str]:
    """Write a model as a folder that `transformers` opens, with its tokenizer.

    Learned positions with layernorm become a GPT2LMHeadModel, rotary ones with rmsnorm and swiglu
    a LlamaForCausalLM. The logits are the same; training state is left out.

    Args:
        model: The model.
        path: Folder to create.

    Returns:
        What was folded into other tensors or left out, one line each.
    """
    config, weights = model.config, model.weights
    if config.pos_encoding == "rope":
        held, tensors = (
            names.llama_config(config),
            names.llama_tensors(config, weights),
        )
    else:
        held, tensors = (
            names.gpt2_config(config),
            names.gpt2_tensors(config, weights),
        )
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()})
    held |= {"dtype": dtypes[0], "torch_dtype": dtypes[0]} if len(dtypes) == 1 else {}
    documents, notes = make_documents(model.tokenizer, config.block_size, model.build_tokenizer)
    ends = documents[GENERATION]
    held |= {f"{end}_token_id": ends.get(f"{end}_token_id") for end in ENDS}
    if names.scales_otherwise(config):
        notes.append("the scale of attention is multiplied into the queries")
    path.mkdir(exist_ok=True)
    for name, document in {"config": held, **documents}.items():
        _write_json(path / f"{name}.json", document)
    with (path / "model.safetensors").open("wb") as stream:
        safetensors.write(stream, tensors)
    return notes


def _part_problems(config: GPTConfig, llama: bool) -> list[Problem]:
    """Return what the closest class cannot compute."""
    name = "LlamaForCausalLM" if llama else "GPT2LMHeadModel"
    wanted: dict[str, tuple[str, ...]] = {
        "pos_encoding": ("rope",) if llama else ("learned",),
        "mlp_type": ("swiglu",) if llama else tuple(names.GPT2_ACTIVATIONS),
        "norm_type": ("rmsnorm",) if llama else ("layernorm",),
    }
    problems = [
        _make_problem(
            f"/{slot}", f"is {getattr(config, slot)}; {name} has {' or '.join(values)} only"
        )
        for slot, values in wanted.items()
        if getattr(config, slot) not in values
    ]
    problems += [  # the class may support the part, but only its plugin knows the tensors
        _make_problem(
            f"/{slot}", f"is {getattr(config, slot)}; mypt writes {value} only as a {name}"
        )
        for slot, value in _BUILT_IN.items()
        if getattr(config, slot) != value
    ]
    if not llama and config.attention_width != config.n_embd:
        what = f"makes heads {config.attention_width} wide together; {name} has n_embd only"
        problems.append(_make_problem("/head_size", what))
    return [*problems, *_field_problems(config, name, _EXPRESSED | (_OF_LLAMA if llama else set()))]


def _field_problems(config: GPTConfig, name: str, expressed: Set[str]) -> Iterator[Problem]:
    """Yield the fields that the class lacks, and that mean something else than by default."""
    plain = GPTConfig(**{field: getattr(config, field) for field in expressed})
    for field in field_names(GPTConfig):
        ours, theirs = config.meaning_of(field), plain.meaning_of(field)
        if field not in expressed and ours != theirs:
            what = f"means {ours}; {name} computes with {theirs}"
            if theirs is None:
                what = f"is {ours}, which {name} does not have"
            yield _make_problem(f"/{field}", what)
    scaling = config.rope_scaling
    if scaling is None:
        return
    if config.rope_scale != 1.0:
        yield _make_problem("/rope_scale", f"is {config.rope_scale} beside another rope_scaling")
    if scaling.kind == "dynamic" and scaling.original_block_size != config.block_size:
        what = f"is {scaling.original_block_size}; transformers takes the block_size instead"
        yield _make_problem("/rope_scaling/original_block_size", what)


_FILE, _KIND = "config.json", "export.unsupported"


def _make_problem(where: str, what: str) -> Problem:
    return Problem(_FILE, where, what, _INSTEAD, kind=_KIND)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as `transformers` and `tokenizers` do, byte for byte."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    end = "" if path.stem == TOKENIZER else "\n"
    path.write_text(text + end, encoding="utf-8", newline="\n")


EXPORTER = ExporterFactory("hf", "Hugging Face", explain=explain, write=write)
