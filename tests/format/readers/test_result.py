"""What a plugin's reader returns is held to the contract, and completed."""

import numpy as np
import pytest
from attrs import evolve

from mypt.format.documents.checkpoint import Checkpoint
from mypt.format.layout import EMBEDDING, HEAD
from mypt.format.readers.result import as_infos, as_tensors, check_checkpoint

CONFIG = {"n_layer": 1, "n_head": 2, "n_embd": 4, "block_size": 4, "vocab_size": 5}
RIGHT = Checkpoint(config=CONFIG, tensors={EMBEDDING: np.zeros((5, 4), np.float32)})


def test_documents_get_the_number_of_the_version_and_numbers_of_python():
    config = {name: np.int32(value) for name, value in CONFIG.items()}
    found = check_checkpoint(evolve(RIGHT, config=config, training_state={"step": np.int64(3)}))
    assert found.config == {"format_version": "2.0", **CONFIG}
    assert found.training_state == {"format_version": "2.0", "step": 3}
    assert found.tokenizer is None
    old = check_checkpoint(evolve(RIGHT, version="1"))
    assert "format_version" not in old.config


def test_a_tied_head_need_not_be_given():
    tied = check_checkpoint(evolve(RIGHT, config={**CONFIG, "tie_weights": True}))
    assert tied.tensors[HEAD] is tied.tensors[EMBEDDING]
    infos, tensors = as_infos(tied).tensors, as_tensors(tied).tensors
    assert infos[HEAD] == infos[EMBEDDING]
    assert tensors[HEAD].data_ptr() == tensors[EMBEDDING].data_ptr()
    assert HEAD not in check_checkpoint(RIGHT).tensors


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": "3"}, "the version of its Checkpoint is '3', not one of 0, 1, 2.0"),
        ({"config": None}, "the config of its Checkpoint is a NoneType, not a dict"),
        ({"config": {}}, "the config of its Checkpoint is not valid: /block_size is missing"),
        ({"config": {**CONFIG, "n_layer": "1"}}, "is not valid: /n_layer is"),
        ({"tokenizer": {"chars": ["a"]}}, "the tokenizer of its Checkpoint is not valid"),
        ({"training_state": [3]}, "the training_state of its Checkpoint is a list"),
        ({"tensors": None}, "the tensors of its Checkpoint are a NoneType, not a dict"),
        ({"tensors": {"a": 3.0}}, "the tensor 'a' of its Checkpoint is a float"),
        ({"optimizer": {"state": {0: {"m": np.array(["x"])}}}}, "is of str"),
        ({"remarks": "one"}, "the remarks of its Checkpoint is 'one', not a tuple of lines"),
    ],
)
def test_what_breaks_the_contract_is_said(fields, said):
    with pytest.raises((TypeError, ValueError), match=said):
        check_checkpoint(evolve(RIGHT, **fields))


def test_what_is_no_checkpoint_is_refused():
    with pytest.raises(TypeError, match="it returns dict, not Checkpoint"):
        check_checkpoint({})
