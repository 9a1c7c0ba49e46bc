import torch

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, expected_tensors
from mypt.format.readers.llama2c.tensor_names import make_lookup
from mypt.format.readers.shared.tensor_source import split_tensors, take_tensor
from tests.support.llama2c_models import HIDDEN, make_tensors

SIZES = {"n_embd": 32, "n_head": 4, "n_kv_head": 2, "n_layer": 2, "vocab_size": 61}
CONFIG = GPTConfig(
    **SIZES,
    pos_encoding="rope",
    mlp_type="swiglu",
    norm_type="rmsnorm",
    mlp_hidden=HIDDEN,
    head_bias=False,
)


def test_the_way_there_and_back_changes_nothing():
    tensors = make_tensors(tied=False)
    lookup = make_lookup(CONFIG)
    sources = {name: lookup(name) for name in expected_tensors(CONFIG, BUILT_IN)}
    ours = {name: take_tensor(source, tensors) for name, source in sources.items()}
    back = split_tensors(sources, ours)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    queries = ours["blocks.0.sa.qkv.weight"][:8]
    wanted = tensors["layers.0.attention.wq.weight"][[0, 2, 4, 6, 1, 3, 5, 7]]
    assert torch.equal(queries, wanted)
