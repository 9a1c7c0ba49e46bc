import hashlib
import json
import shutil

import numpy as np
import pytest

from mypt.data.batches.tokens import TokenSource
from mypt.data.dataset import read_shards, read_tokenizer_state
from mypt.format.errors import DataError
from tests.support.paths import SUITE


def write_shards(folder, **files):
    """Write each list of ids as `<name>.bin`; `train__a` goes to `train/a.bin`."""
    for name, ids in files.items():
        file = folder / f"{name.replace('__', '/')}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(np.array(ids, "<u4").tobytes())


def as_lists(shards):
    return {split: [shard.tolist() for shard in arrays] for split, arrays in shards.items()}


@pytest.mark.parametrize("name", ["dante_char", "chat_gpt2"])
def test_data_sets_of_the_earlier_program_are_read(fixtures, name):
    folder = fixtures / "mypt" / "datasets" / name
    expected = json.loads((folder.parent / f"{name}.expected.json").read_text(encoding="utf-8"))
    shards = read_shards(folder)
    assert read_tokenizer_state(folder)["token_kind"] == expected["token_kind"]
    for split in ("train", "val"):
        assert sum(map(len, shards[split])) == expected[f"{split}_tokens"]
        for shard, facts in zip(shards[split], expected["shards"][split], strict=True):
            assert len(shard) == facts["tokens"]
            assert shard[:8].tolist() == facts["first_ids"]
            assert shard[-4:].tolist() == facts["last_ids"]
            assert hashlib.sha256(shard.tobytes()).hexdigest() == facts["sha256"]


def test_shards_come_in_the_order_of_their_names_and_masks_are_left_out(tmp_path):
    write_shards(tmp_path, train__b=[2], train__a=[1], train__a_mask=[9], val__c=[3])
    write_shards(tmp_path, other__d=[4])
    (tmp_path / "train" / "notes.txt").write_text("mine")
    assert as_lists(read_shards(tmp_path)) == {"train": [[1], [2]], "val": [[3]]}


def test_shards_are_mapped_and_read_only(tmp_path):
    write_shards(tmp_path, train__a=[1], val__a=[1])
    [shard] = read_shards(tmp_path)["train"]
    assert isinstance(shard, np.memmap)
    assert not shard.flags.writeable
    assert not TokenSource([shard]).shards[0].flags.writeable


def test_an_evaluation_set_is_val_or_the_folder_itself(tmp_path):
    write_shards(tmp_path / "with", val__a=[1], b=[2])
    write_shards(tmp_path / "without", b=[2], b_mask=[0])
    assert as_lists(read_shards(tmp_path / "with", eval_only=True)) == {"val": [[1]]}
    assert as_lists(read_shards(tmp_path / "without", eval_only=True)) == {"val": [[2]]}


def test_an_empty_shard_has_no_tokens(tmp_path):
    write_shards(tmp_path, train__a=[], train__b=[1], val__a=[1])
    assert as_lists(read_shards(tmp_path))["train"] == [[], [1]]


@pytest.mark.parametrize(
    ("files", "named", "what"),
    [
        ({}, "train", "holds no token shards"),
        ({"val__a": [1]}, "", "is a data set for evaluation only"),
        ({"train__a_mask": [1], "val__a": [1]}, "train", "holds no token shards"),
        ({"train__a": [1]}, "val", "holds no token shards"),
    ],
)
def test_a_split_without_shards_is_refused(tmp_path, files, named, what):
    write_shards(tmp_path, **files)
    with pytest.raises(DataError) as caught:
        read_shards(tmp_path)
    [problem] = caught.value.problems
    assert problem.file == str(tmp_path / named)
    assert problem.what.startswith(what)
    assert problem.fix


@pytest.mark.parametrize("read", [read_shards, read_tokenizer_state])
def test_a_model_is_told_from_a_data_set(tmp_path, read):
    shutil.copytree(SUITE / "bundles" / "valid" / "adapter_beside_its_base", tmp_path / "dante")
    with pytest.raises(DataError, match=r"is a model, not a data set; .* mypt inspect"):
        read(tmp_path / "dante")


def test_a_missing_folder_and_an_empty_evaluation_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        read_shards(tmp_path / "data")
    with pytest.raises(DataError, match="holds no token shards"):
        read_shards(tmp_path, eval_only=True)


def test_a_file_of_broken_ids_is_refused(tmp_path):
    write_shards(tmp_path, train__a=[1], val__a=[1])
    (tmp_path / "train" / "a.bin").write_bytes(b"\x01\x00\x00\x00\x02\x00")
    with pytest.raises(DataError, match=r"a\.bin: has 6 bytes, which is not a whole number"):
        read_shards(tmp_path)


def test_a_shard_that_cannot_be_opened_is_refused(tmp_path):
    write_shards(tmp_path, val__a=[1])
    (tmp_path / "train" / "a.bin").mkdir(parents=True)
    with pytest.raises(DataError, match=r"a\.bin: cannot be read"):
        read_shards(tmp_path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "cannot be read .*; texts and tables go to input_file"),
        (b"{", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"{}", "does not say which tokenizer"),
        (b'{"token_kind": 1}', "does not say which tokenizer"),
    ],
)
def test_a_tokenizer_state_that_says_nothing_is_refused(tmp_path, data, what):
    if data is not None:
        (tmp_path / "tokenizer_state.json").write_bytes(data)
    with pytest.raises(DataError, match=f"tokenizer_state.json: {what}"):
        read_tokenizer_state(tmp_path)
