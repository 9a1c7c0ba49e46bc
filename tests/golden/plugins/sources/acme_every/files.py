"""Files of others: stories to train on, and models in arrays that are read and written."""

import zipfile

import numpy as np
from mypt.plugins import Checkpoint, DataError, FormatError, Problem

SEPARATOR = {
    "properties": {"separator": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
HEADS = {
    "properties": {
        "n_head": {"type": "integer", "minimum": 1, "description": "heads of each layer"}
    },
    "required": ["n_head"],
}
DTYPE = {"properties": {"dtype": {"enum": ["float32", "float16"], "description": "of arrays"}}}


def is_story(file):
    """Return whether it is a file of stories."""
    return not file.is_folder and file.name.endswith(".story") and b"\0" not in file.head


def read_story(file, options):
    """Yield the stories of a file, which are separated by a line."""
    separator, story = options.get("separator", "***"), []
    with file.open() as stream:
        for number, line in enumerate(stream, start=1):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                what, fix = "is not UTF-8", "correct the line"
                raise DataError(Problem(str(file.path), f"line {number}", what, fix)) from error
            if text.strip() == separator:
                yield "".join(story)
                story = []
            else:
                story.append(text)
    yield "".join(story)


def is_arrays(path):
    """Return whether an exporter below wrote it."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "acme.npy" in archive.namelist()


def read_arrays(path, load, options):
    """Return the arrays under mypt's names, and the config that their shapes imply."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            tensors = {name: saved[name].astype(np.float32) for name in saved if name != "acme"}
        vocab_size, n_embd = tensors["token_embedding_table.weight"].shape
        block_size = len(tensors["position_embedding_table.weight"])
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        problem = Problem(str(path), "", f"is damaged: {error}", "restore it from a copy")
        raise FormatError(problem) from error
    layers = {name.split(".")[1] for name in tensors if name.startswith("blocks.")}
    config = {
        "vocab_size": vocab_size,
        "n_embd": n_embd,
        "block_size": block_size,
        "n_layer": len(layers),
        "n_head": options["n_head"],
        "head_bias": False,
    }
    return Checkpoint(
        config=config,
        tensors=tensors,
        report=["acme: all arrays"],
        remarks=["the file names no tokenizer"],
    )


def explain_arrays(config):
    """Return what the arrays cannot say."""
    problems = []
    if config.pos_encoding != "learned":
        what = f"is {config.pos_encoding}; the arrays have learned positions only"
        fix = "train with --pos_encoding learned"
        problems.append(Problem("config.json", "/pos_encoding", what, fix))
    if config.has_head_bias:
        what = "is true; the arrays have no bias in the output layer"
        problems.append(Problem("config.json", "/head_bias", what, "leave out --head_bias"))
    return problems


def write_arrays(model, path, options):
    """Write the tensors as arrays under mypt's names."""
    dtype = options.get("dtype", "float32")
    arrays = {name: tensor.float().numpy() for name, tensor in model.weights.items()}
    with path.open("wb") as stream:
        np.savez(
            stream,
            acme=np.array(model.config.n_head),
            **{name: array.astype(dtype) for name, array in arrays.items()},
        )
    return [] if model.tokenizer is None else ["the tokenizer is left out"]
