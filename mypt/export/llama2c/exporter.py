"""Write a model as a folder of llama2.c: `model.bin` and `tokenizer.bin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from mypt.export.fit import FOLDED_NOTE
from mypt.export.llama2c.description import DEFAULT_GROUP, describe, explain
from mypt.export.llama2c.vocabulary import list_tokens, pack_vocabulary
from mypt.format.errors import FormatError, PluginError, log_traceback
from mypt.format.layout import BUILT_IN, HEAD, expected_tensors
from mypt.format.readers.llama2c.model_args import ROPE_THETA
from mypt.format.readers.llama2c.reader import MODEL
from mypt.format.readers.llama2c.tensor_names import make_lookup
from mypt.format.readers.shared.tensor_source import fold_attention_scale, split_tensors
from mypt.plugins.contracts.exporter import ExporterFactory

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from mypt.format.readers.llama2c.bin_file import Header
    from mypt.plugins.contracts.exporter import ModelToExport
    from mypt.plugins.contracts.factory import Options

TOKENIZER = "tokenizer.bin"
_LARGEST = 127  # of the 8-bit values


def write(model: ModelToExport, path: Path, options: Options) -> list[str]:
    """Write a model as a folder whose files `run.c` or `runq.c` read.

    Args:
        model: The model.
        path: Folder to create.
        options: `version` (0 by default, which `run.c` reads; 2 for `runq.c`), and `group_size` of
            version 2.

    Returns:
        What was folded, rounded or left out, one line each.
    """
    config, version = model.config, options.get("version", 0)
    found = describe(config, version, options.get("group_size", DEFAULT_GROUP))
    lookup = fold_attention_scale(make_lookup(found.config), config, found.config)
    names = expected_tensors(config, BUILT_IN)
    sources = {n: lookup(n) for n in names if not (n == HEAD and config.tie_weights)}
    path.mkdir(exist_ok=True)
    with (path / MODEL).open("wb") as stream:
        _write_tensors(stream, found.header, split_tensors(sources, model.weights))
    notes = []
    if config.attention_scale != found.config.attention_scale:
        notes.append(FOLDED_NOTE)
    if version == 2:
        notes.append(f"matrices have 8 bits per value, in groups of {found.header.group_size}")
    return [*notes, *_write_vocabulary(model, path)]


def _write_vocabulary(model: ModelToExport, path: Path) -> list[str]:
    if model.tokenizer is None:
        return [f"the folder has no {TOKENIZER}, without which run.c does not start"]
    try:
        tokens, notes = list_tokens(model)
    except (FormatError, PluginError) as error:
        log_traceback(error)
        return [f"the folder has no {TOKENIZER}: {error.problems[0]}"]
    (path / TOKENIZER).write_bytes(pack_vocabulary(tokens))
    return notes


def _write_tensors(stream: BinaryIO, header: Header, tensors: dict[str, Tensor]) -> None:
    """Write the header and all tensors, in the order of the file."""
    stream.write(header.pack())
    for name, shape in header.list_tensors():
        if not name:
            _write_angles(stream, header)
            continue
        tensor = tensors[name].detach().cpu().float().contiguous()
        if header.is_quantized(shape):
            values, scales = _quantize(tensor, header.group_size)
            stream.write(values.numpy().tobytes())
            tensor = scales
        stream.write(tensor.numpy().astype("<f4", copy=False).tobytes())


def _write_angles(stream: BinaryIO, header: Header) -> None:
    """Write the tables of cosines and sines, which `run.c` skips and other programs read."""
    import torch

    length, pairs = header.table_shape
    exponents = torch.arange(0, 2 * pairs, 2, dtype=torch.float32) / (2 * pairs)
    angles = torch.outer(torch.arange(length).float(), 1.0 / ROPE_THETA**exponents)
    for table in (angles.cos(), angles.sin()):
        stream.write(table.numpy().astype("<f4", copy=False).tobytes())


def _quantize(tensor: Tensor, group_size: int) -> tuple[Tensor, Tensor]:
    """Return 8-bit values and the scale of each group of them.

    Source: `quantize_q80` in llama2.c's `export.py`.
    """
    import torch

    groups = tensor.reshape(-1, group_size)
    scales = groups.abs().amax(dim=1) / _LARGEST
    values = torch.where(scales[:, None] > 0, groups / scales[:, None], 0.0)
    return values.round().to(torch.int8), scales


OPTIONS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "version": {
            "enum": [0, 1, 2],
            "description": "Form of the file: 0 (default), which run.c reads; 1, the same with a "
            "mark; 2, with 8-bit values, which runq.c reads.",
        },
        "group_size": {
            "enum": [2**power for power in range(1, 11)],
            "description": "Of version 2: how many values have a scale together; halved until it "
            f"divides the matrices. By default {DEFAULT_GROUP}.",
        },
    },
}
EXPORTER = ExporterFactory("llama2c", "llama2.c", explain=explain, write=write, options=OPTIONS)
