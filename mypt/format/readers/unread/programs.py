"""Programs whose checkpoints mypt does not read, by what these hold."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from attrs import frozen

from mypt.format.errors import FormatError, Problem
from mypt.format.tensors import weights_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

UNREAD = "checkpoint.unread"  # kind of the problem
ADAPTER_CONFIG = "adapter_config.json"
_CONVERT = "convert it to a folder of Hugging Face"
_WITH_CONFIG = "save it again together with its config, as the program's own training does"


@frozen(kw_only=True)
class Program:
    """What a program writes.

    Attributes:
        what: What a path of it is, for messages.
        fix: How its model comes to a form that mypt reads.
        files: Patterns of files, all of which a folder of it holds.
        starts: What a file of it begins with, one of them.
        keys: Keys of the dict in a file of it, all of them.
        tensor: The name of a tensor in such a dict, or in one of its values.
    """

    what: str
    fix: str
    files: tuple[str, ...] = ()
    starts: tuple[bytes, ...] = ()
    keys: frozenset[str] = frozenset()
    tensor: re.Pattern[str] | None = None


ADAPTER = Program(
    what="is an adapter of PEFT, which changes a model that it does not hold",
    fix="merge it with peft's merge_and_unload(), and save the whole with save_pretrained",
    files=(ADAPTER_CONFIG,),
    tensor=re.compile(r"base_model\.model\..+\.lora_[AB]\..+"),
)
PROGRAMS = (
    ADAPTER,
    Program(
        what="is a checkpoint of DeepSpeed",
        fix="run the zero_to_fp32.py in its folder, and put what it writes beside the config.json",
        files=("zero_to_fp32.py",),
        keys=frozenset({"ds_version"}),
    ),
    Program(
        what="is a checkpoint of Megatron-LM",
        fix=_CONVERT,
        files=("latest_checkpointed_iteration.txt",),
        keys=frozenset({"checkpoint_version", "args"}),
    ),
    Program(
        what="is a checkpoint of fairseq",
        fix=_CONVERT,
        keys=frozenset({"last_optimizer_state"}),
    ),
    Program(
        what="is a model in the form of Meta's Llama, without a config of its own in the file",
        fix=_CONVERT,
        files=("params.json", "consolidated.*"),
        tensor=re.compile(r"layers\.0\.attention\.wq\.weight"),
    ),
    Program(
        what="is a checkpoint of TensorFlow",
        fix=_CONVERT,
        files=("*.ckpt.index",),
        starts=(b"\x89HDF\r\n\x1a\n",),
    ),
    Program(
        what="is a model of llm.c",
        fix="convert it with llm.c's dev/eval/export_hf.py",
        starts=(struct.pack("<i", 20240326),),
    ),
    Program(
        what="is a model of ggml from before GGUF",
        fix="convert it to GGUF with llama.cpp",
        starts=(b"lmgg", b"fmgg", b"tjgg"),
    ),
    Program(
        what="is a model of RWKV, which has no attention",
        fix="use the program that wrote it",
        tensor=re.compile(r"blocks\.0\.att\.(?:time_decay|w0)"),
    ),
    Program(
        what="holds the tensors of a GPT-2 or of nanoGPT without a config",
        fix=_WITH_CONFIG,
        tensor=re.compile(r"(?:_orig_mod\.)?transformer\.h\.0\.attn\.c_attn\.weight"),
    ),
    Program(
        what="holds the tensors of a model of Hugging Face without a config",
        fix="name a folder with the config.json too, as save_pretrained writes it",
        tensor=re.compile(r"(?:model|gpt_neox|transformer)\.(?:layers|h)\.0\..+\.weight"),
    ),
)


def explain_folder(folder: Path, file: str) -> Problem | None:
    """Return which program's checkpoint a folder is; None for none of them."""
    return _explain(
        (one for one in PROGRAMS if one.files and all(any(folder.glob(n)) for n in one.files)),
        file,
    )


def explain_start(start: bytes, file: str) -> Problem | None:
    """Return which program's model a file is that begins like this; None for none of them."""
    return _explain((one for one in PROGRAMS if start.startswith(one.starts)), file)


def explain_weights(path: Path, file: str) -> Problem | None:
    """Return which program's checkpoint a file of weights is; None for none of them.

    Raises:
        OSError: It cannot be read.
    """
    try:
        contents = weights_file.describe_weights(path, file)
    except FormatError:  # no file of weights, or a damaged one
        return None
    return _explain(_find_programs(contents), file) if isinstance(contents, dict) else None


def make_problem(program: Program, file: str) -> Problem:
    """Return what is wrong with a checkpoint of such a program."""
    what = f"{program.what}; mypt does not read it"
    return Problem(file, "", what, program.fix, kind=UNREAD)


def _find_programs(contents: Mapping[Any, Any]) -> Iterable[Program]:
    """Return the programs that write such a dict."""
    inner = [value for value in contents.values() if isinstance(value, dict)]
    names = [name for held in (contents, *inner) for name in held if isinstance(name, str)]
    for one in PROGRAMS:
        has_keys = bool(one.keys) and one.keys <= contents.keys()
        if has_keys or (one.tensor and any(one.tensor.fullmatch(name) for name in names)):
            yield one


def _explain(found: Iterable[Program], file: str) -> Problem | None:
    one = next(iter(found), None)
    return None if one is None else make_problem(one, file)
