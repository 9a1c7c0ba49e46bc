import json
import os

import pytest
import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.migrate import Migrator
from mypt.format.open import open_checkpoint
from mypt.format.readers.plugin import mypt_legacy_readers
from mypt.format.shards.record import open_shards
from mypt.format.tensors.pt_writer import write_tensors
from mypt.format.validate import validate
from mypt.plugins.manager import load_plugins
from tests.support.bundles import save_random_bundle
from tests.support.sharded_folders import shard_bundle, sign_again

READERS = tuple(mypt_legacy_readers())
PLAIN = GPTConfig(block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=1)
TIED = GPTConfig(
    block_size=4, vocab_size=3, n_embd=2, n_head=1, n_layer=2, tie_weights=True, head_bias=False
)


@pytest.fixture(params=[PLAIN, TIED], ids=["plain", "tied"])
def shards(tmp_path, request):
    save_random_bundle(tmp_path / "dante", request.param)
    return shard_bundle(tmp_path / "dante")


def digests(folder):
    document = json.loads((folder / "manifest.json").read_text())
    return {name: record["sha256"] for name, record in document["files"].items()}


def test_migrated_it_is_the_bundle_byte_for_byte(shards):
    folder = shards.with_name("dante")
    wanted = digests(folder)
    folder.rename(shards.with_name("before"))
    report = Migrator(readers=READERS, written_by="the tests").migrate(shards)
    assert (report.output, report.result) == (folder, "migrated")
    assert digests(folder) == wanted
    again = Migrator(readers=READERS, written_by="the tests").migrate(shards)
    assert again.result == "there already"


def test_opened_it_is_what_a_run_goes_on_from_exactly(shards):
    plugins = load_plugins()
    there = open_checkpoint(shards.with_name("dante"), plugins)
    here = open_checkpoint(shards, plugins)
    assert (here.doubts, here.flaws, here.lacking) == ((), (), ())
    assert here.training_state == there.training_state
    here.check()
    weights, wanted = here.weights(), there.weights()
    assert [*weights] == [*wanted]
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    state, kept = here.optimizer(), there.optimizer()
    assert state["param_groups"] == kept["param_groups"]
    for name, entry in kept["state"].items():
        assert all(torch.equal(state["state"][name][key], entry[key]) for key in entry)


def test_validation_reads_every_part(shards):
    assert not [
        p for p in validate(shards, readers=READERS, checksums=True) if p.severity != "note"
    ]
    path = open_shards(shards).generation / "__0_0.distcp"
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 64):
        data[place] ^= 1
    path.write_bytes(data)
    errors = [p for p in validate(shards, readers=READERS, checksums=True) if p.severity == "error"]
    assert str(path) in errors[0].file


@pytest.mark.parametrize("content", [{}, {"model": {"a": "model.b"}, "optimizer": 3}, [1]])
def test_a_structure_of_something_else_is_refused_in_one_line(shards, content):
    path = open_shards(shards).generation / "structure.pt"
    with path.open("wb") as stream:
        write_tensors(stream, content)
    sign_again(shards)
    problems = validate(shards, readers=READERS)
    assert [p.severity for p in problems] == ["error"]
    assert "is not as the reader sharded_save knows it" in problems[0].what


def test_a_structure_that_would_run_code_is_refused_unread(shards):
    path = open_shards(shards).generation / "structure.pt"
    torch.save({"model": os.system, "optimizer": {}}, path)
    sign_again(shards)
    problems = validate(shards, readers=READERS)
    assert [p.severity for p in problems] == ["error"]
    assert "system" in str(problems[0])
