"""Sharded saves of bundles, as one process would write them, or several in one after the other."""

import warnings
from functools import partial

import torch
from attrs import evolve
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save

from mypt.format.bundle.read import read_bundle
from mypt.format.shards.commit import ShardsWriter, list_parts, record_file
from mypt.format.shards.places import RECORD, generation_path, shards_path
from mypt.format.shards.record import STRUCTURE, open_shards
from mypt.format.shards.structure import take_apart
from mypt.format.storage.generations import seal
from mypt.format.tensors.pt_writer import write_tensors


def shard_bundle(folder):
    """Save what a bundle holds in parts beside it; return the folder of shards."""
    bundle, place = read_bundle(folder), shards_path(folder)
    apart = take_apart(
        bundle.weights(),
        bundle.optimizer(),
        is_tensor=lambda value: isinstance(value, torch.Tensor),
        identify=lambda tensor: (tensor.data_ptr(), tensor.shape),
    )
    documents = {
        name: path.read_bytes() for name, path in bundle.paths.items() if name.endswith(".json")
    }
    writer = ShardsWriter(place)
    generation = generation_path(
        place,
        writer.begin({**documents, STRUCTURE: partial(write_tensors, value=apart.content)}),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it saves without other processes
        save(apart.tensors, storage_writer=FileSystemWriter(generation))
    writer.commit(list_parts(generation, 0), written_by="the tests", plugins={})
    return place


def sign_again(shards):
    """Let the record of a folder of shards say what its files are now."""
    opened = open_shards(shards)
    files = {name: record_file(opened.generation / name) for name in opened.record.files}
    (shards / RECORD).write_bytes(seal(evolve(opened.record, files=files))[1])
