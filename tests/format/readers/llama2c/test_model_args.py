import pytest
import torch

import mypt
from mypt.format.errors import FormatError
from tests.support.llama2c_models import (
    BARE,
    IDS,
    compute_logits,
    make_tensors,
    open_logits,
    write_ckpt,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_kv_heads": None},
        {"n_kv_heads": 1},
        {"hidden_dim": 40},
        {"norm_eps": 1e-2},
        {"n_heads": 2, "n_kv_heads": 2},
    ],
    ids=str,
)
def test_each_argument_counts(tmp_path, plugins, changes):
    tensors = make_tensors(**changes)
    found = open_logits(write_ckpt(tmp_path / "ckpt.pt", tensors, changes), plugins)
    wanted = compute_logits(tensors, IDS[0], **changes)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rope_theta": 5.0}, "/model_args/rope_theta: is not known to mypt"),
        ({"n_heads": 5}, "/model_args/dim: is 32 with 5 heads of queries"),
        ({"n_kv_heads": 3}, "/model_args/dim: is 32 with 4 heads of queries and 3 of keys"),
        ({"max_seq_len": "24"}, "max_seq_len: is '24', not a positive whole number"),
        ({"n_heads": ...}, "n_heads: is missing"),
        ({"n_layers": 3}, "declares 3 layers|is missing"),
        ({"n_layers": 1}, "does not belong"),
        ({"multiple_of": 64}, "has shape"),
        ({"vocab_size": 62}, "has shape"),
        ({"norm_eps": -1.0}, "norm_eps"),
    ],
)
def test_arguments_that_lie_or_say_too_much_are_refused(tmp_path, plugins, changes, said):
    path = write_ckpt(tmp_path / "ckpt.pt", make_tensors(), changes)
    with pytest.raises(FormatError, match=said):
        mypt.load(path, plugins=plugins, options=BARE)
