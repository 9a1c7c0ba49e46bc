"""Write a model for another program."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mypt.export import hugging_face_names
from mypt.export.hugging_face_tokenizer import ENDS, GENERATION, TOKENIZER, make_documents
from mypt.format.bundle.reopen import reopen_if_saved
from mypt.format.discover import ensure_basename
from mypt.format.documents.config import GPTConfig
from mypt.format.documents.convert import field_names
from mypt.format.errors import FormatError, Problem, UsageError
from mypt.format.open import open_checkpoint
from mypt.format.storage.fsync import sync_file
from mypt.format.storage.save_errors import raising_save_errors
from mypt.format.tensors import safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Set

    from torch import Tensor

    from mypt.plugins.manager import Plugins

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


@reopen_if_saved
def export_hf(
    path: Path, output: Path, plugins: Plugins, options: Mapping[str, Any] | None = None
) -> list[str]:
    """Write a checkpoint as a folder that `transformers` opens, with its tokenizer.

    Learned positions with layernorm become a GPT2LMHeadModel, rotary ones with rmsnorm and swiglu
    a LlamaForCausalLM. The logits are the same; training state is left out.

    Args:
        path: Any checkpoint that mypt opens.
        output: Folder to create; it must not exist, or be empty.
        plugins: Where parts and readers are looked up.
        options: Options of the checkpoint's reader.

    Returns:
        What was folded into other tensors or left out, one line each.

    Raises:
        FormatError: Neither class can compute what this model computes.
        UsageError: The folder is in use.
        SaveError: It could not be written; nothing is left behind.
    """
    output = ensure_basename(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        what, fix = "exists already and is not an empty folder", "name another one"
        raise UsageError(Problem(str(output), "", what, fix, kind="export.output"))
    opened = open_checkpoint(path, plugins, options)
    config = opened.config
    weights = opened.weights()
    llama = config.pos_encoding == "rope"
    problems = [*_part_problems(config, llama), *_bias_problems(config, weights, llama)]
    if problems:
        raise FormatError(*problems)
    if llama:
        held, tensors = (
            hugging_face_names.llama_config(config),
            hugging_face_names.llama_tensors(config, weights),
        )
    else:
        held, tensors = (
            hugging_face_names.gpt2_config(config),
            hugging_face_names.gpt2_tensors(config, weights),
        )
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()})
    held |= {"dtype": dtypes[0], "torch_dtype": dtypes[0]} if len(dtypes) == 1 else {}
    documents, notes = make_documents(opened.tokenizer, config.block_size, plugins)
    notes += opened.remarks
    notes += [f"warning: {warning}" for warning in opened.warnings]
    ends = documents[GENERATION]
    held |= {f"{end}_token_id": ends.get(f"{end}_token_id") for end in ENDS}
    if hugging_face_names.scales_otherwise(config):
        notes.append("the scale of attention is multiplied into the queries")
    _write_folder(output, {"config": held, **documents}, tensors)
    return notes


def _part_problems(config: GPTConfig, llama: bool) -> list[Problem]:
    """Return what the closest class cannot compute."""
    name = "LlamaForCausalLM" if llama else "GPT2LMHeadModel"
    wanted: dict[str, tuple[str, ...]] = {
        "pos_encoding": ("rope",) if llama else ("learned",),
        "mlp_type": ("swiglu",) if llama else tuple(hugging_face_names.GPT2_ACTIVATIONS),
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


def _bias_problems(config: GPTConfig, weights: Mapping[str, Tensor], llama: bool) -> list[Problem]:
    """Return the biases that the class lacks, unless they are all zero."""
    problems = []
    if config.has_head_bias and weights["lm_head.bias"].any():
        what = "is a bias of the output layer, which no class of Hugging Face's has"
        problems.append(Problem("", "lm_head.bias", what, "train with --no_head_bias", kind=_KIND))
    if llama and config.has_norm_bias:
        shifts = [n for n in weights if n.rpartition(".")[0].endswith(("ln1", "ln2", "ln_f"))]
        if any(weights[name].any() for name in shifts if name.endswith(".bias")):
            problems.append(
                _make_problem("/norm_bias", "is true; LlamaForCausalLM's norms have none")
            )
    return problems


_KIND = "export.unsupported"


def _make_problem(where: str, what: str) -> Problem:
    return Problem("config.json", where, what, _INSTEAD, kind=_KIND)


def _write_folder(
    output: Path,
    documents: Mapping[str, Mapping[str, Any]],
    tensors: Mapping[str, Tensor],
) -> None:
    """Write all files into a folder beside the target, and rename it when it is complete."""
    with raising_save_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as work:
            folder = Path(work) / output.name
            folder.mkdir()
            for name, document in documents.items():
                _write_json(folder / f"{name}.json", document)
            with (folder / "model.safetensors").open("wb") as stream:
                safetensors.write(stream, tensors)
                stream.flush()
                sync_file(stream.fileno())
            if output.exists():
                output.rmdir()
            shutil.move(folder, output)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as `transformers` and `tokenizers` do, byte for byte."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    end = "" if path.stem == TOKENIZER else "\n"
    path.write_text(text + end, encoding="utf-8", newline="\n")


EXPORTERS: Mapping[str, Callable[..., list[str]]] = {"hf": export_hf}
