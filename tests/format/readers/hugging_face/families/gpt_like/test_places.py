from mypt.format.documents.config import GPTConfig
from mypt.format.readers.hugging_face.families.gpt_like.places import Places
from mypt.format.readers.shared.tensor_source import RowOrder, TensorSource

PLACES = Places(
    outside={"token_embedding_table": "wte", "position_embedding_table": "wpe"},
    layers="h",
    inside={"sa.qkv": ("q", "k", "v"), "sa.proj": ("out",)},
    head="embed_out",
)
CONFIG = GPTConfig(n_embd=8, n_head=4, n_kv_head=2)


def test_each_tensor_is_found_by_the_name_of_its_module():
    find = PLACES.make_lookup(CONFIG, "model.")
    assert find("lm_head.bias") == TensorSource(("embed_out.bias",))
    assert find("token_embedding_table.weight") == TensorSource(("model.wte.weight",))
    assert find("blocks.10.sa.proj.bias") == TensorSource(("model.h.10.out.bias",))
    names = tuple(f"model.h.0.{part}.weight" for part in "qkv")
    assert find("blocks.0.sa.qkv.weight") == TensorSource(names, shares=(4, 2, 2))


def test_an_order_of_rows_belongs_to_weight_and_bias():
    order = RowOrder(6, (slice(2, 6),))
    find = PLACES.make_lookup(CONFIG, "", {"position_embedding_table": order, "sa.proj": order})
    assert find("position_embedding_table.weight").rows == order
    for kind in ("weight", "bias"):
        assert find(f"blocks.0.sa.proj.{kind}") == TensorSource((f"h.0.out.{kind}",), rows=order)
