import tracemalloc

import pytest
from attrs import evolve

from mypt.format.documents.config import GPTConfig
from mypt.format.layout import BUILT_IN, PartLayout, expected_tensors
from mypt.format.rules.tensors import MAX_PROBLEMS, Model, tensor_problems
from mypt.format.tensors.info import TensorInfo

CONFIG = GPTConfig(block_size=16, vocab_size=11, n_embd=8, n_head=2, n_layer=3)
WITH = [
    {},
    {"bias": True},
    {"tie_weights": True},
    {"pos_encoding": "rope"},
    {"mlp_type": "swiglu", "norm_type": "rmsnorm"},
    {"mlp_type": "relu", "mlp_bias": False, "head_bias": False, "norm_bias": False},
    {"head_size": 6, "mlp_hidden": 5},
    {"qkv_bias": True, "proj_bias": False},
    {"n_layer": 0},
]


def info(shape, key, dtype="float32"):
    stride, step = [], 1
    for size in reversed(shape):
        stride.insert(0, step)
        step *= size
    return TensorInfo(dtype, tuple(shape), tuple(stride), str(key), 0, step * 4)


def tensors_of(config, layouts=BUILT_IN):
    shapes = expected_tensors(config, layouts)
    tensors = {name: info(shape, key) for key, (name, shape) in enumerate(shapes.items())}
    if config.tie_weights:
        tensors["lm_head.weight"] = tensors["token_embedding_table.weight"]
    return tensors


def lines(config, tensors, layouts=BUILT_IN):
    model = Model(config, tensors, layouts, "config.json", "dante/model.pt")
    return [str(problem) for problem in tensor_problems(model)]


@pytest.mark.parametrize("changed", WITH, ids=str)
def test_the_tensors_of_a_config_fit_it(changed):
    config = evolve(CONFIG, **changed)
    assert lines(config, tensors_of(config)) == []


@pytest.mark.parametrize("n_layer", [0, 1, 2, 4, 8, 100_000])
def test_another_number_of_blocks_is_one_problem(n_layer):
    assert lines(evolve(CONFIG, n_layer=n_layer), tensors_of(CONFIG)) == [
        f"config.json#/n_layer: is {n_layer}, but model.pt holds 3 blocks; set it back to 3"
    ]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("vocab_size", 12, "is 12, but model.pt was saved with 11; set it back to 11"),
        ("n_embd", 16, "is 16, but model.pt was saved with 8; set it back to 8"),
        ("block_size", 99, "is 99, but model.pt was saved with 16; set it back to 16"),
        ("mlp_hidden", 7, "is 7, but model.pt was saved with 32; set it back to 32"),
        ("head_size", 3, "is 3, but model.pt was saved with 4; set it back to 4"),
        ("bias", True, "is true, but model.pt was saved with false; set it back to false"),
        ("head_bias", True, "is true, but model.pt was saved with false; set it back to false"),
        ("pos_encoding", "rope", 'is "rope", but model.pt was saved with "learned"; set it back'),
        ("mlp_type", "swiglu", 'is "swiglu", but model.pt was saved with "gelu"; set it back to'),
        ("norm_type", "rmsnorm", 'is "rmsnorm", but model.pt was saved with "layernorm"; set'),
    ],
)
def test_one_changed_field_that_explains_everything_is_one_problem(field, value, shown):
    (line,) = lines(evolve(CONFIG, **{field: value}), tensors_of(CONFIG))
    assert line.startswith(f"config.json#/{field}: {shown}")


@pytest.mark.parametrize("was", WITH[:-1], ids=str)
def test_a_changed_width_is_explained_in_every_architecture(was):
    config = evolve(CONFIG, **was)
    (line,) = lines(evolve(config, n_embd=32), tensors_of(config))
    assert "/n_embd: is 32, but model.pt was saved with 8" in line


def test_several_changed_fields_are_a_problem_each():
    changed = evolve(CONFIG, n_layer=1, vocab_size=12, block_size=7)
    assert [line.split(":")[0] for line in lines(changed, tensors_of(CONFIG))] == [
        "config.json#/n_layer",
        "config.json#/vocab_size",
        "config.json#/block_size",
    ]


def test_a_missing_tensor_is_named():
    tensors = tensors_of(CONFIG)
    del tensors["blocks.1.fwd.net.0.bias"]
    assert lines(CONFIG, tensors) == [
        "dante/model.pt blocks.1.fwd.net.0.bias: is missing; "
        "restore the file, or the config that it was saved with"
    ]


def test_a_renamed_tensor_is_one_missing_and_one_too_many():
    tensors = tensors_of(CONFIG)
    tensors["ln_final.weight"] = tensors.pop("ln_f.weight")
    first, second = lines(CONFIG, tensors)
    assert "ln_f.weight: is missing" in first
    assert "ln_final.weight: does not belong to a model of this config" in second


def test_a_tensor_of_a_wrong_shape_is_named_with_both_shapes():
    tensors = tensors_of(CONFIG) | {"blocks.2.sa.qkv.weight": info((24, 9), 99)}
    (line,) = lines(CONFIG, tensors)
    assert "blocks.2.sa.qkv.weight: has shape (24, 9), not (24, 8)" in line


def test_a_fault_that_all_blocks_share_is_one_problem():
    tensors = tensors_of(CONFIG)
    for layer in range(3):
        tensors[f"blocks.{layer}.sa.extra"] = info((3,), 90 + layer)
    (line,) = lines(CONFIG, tensors)
    assert "blocks.0.sa.extra: does not belong" in line
    assert "(in all 3 blocks)" in line


def test_a_block_in_the_middle_that_is_missing_is_named_once():
    deep = evolve(CONFIG, n_layer=9)
    tensors = {
        name: info
        for name, info in tensors_of(deep).items()
        if not name.startswith(("blocks.2.", "blocks.5.", "blocks.6.", "blocks.7."))
    }
    first, second = lines(deep, tensors)
    assert "blocks.2: is missing" in first
    assert "blocks.5 to blocks.7: is missing" in second


def test_blocks_that_are_far_apart_cost_nothing():
    tensors = tensors_of(CONFIG)
    tensors |= {name.replace("blocks.2", "blocks.9999999"): t for name, t in tensors.items()}
    tracemalloc.start()
    found = lines(evolve(CONFIG, n_layer=100_000), tensors)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert any("blocks.3 to blocks.99999: is missing" in line for line in found)
    assert any("blocks.9999999: is beyond n_layer" in line for line in found)


def test_a_model_of_another_program_is_told_apart():
    tensors = {"transformer.wte.weight": info((11, 8), 0), "lm_head.w": info((11, 8), 1)}
    (line,) = lines(CONFIG, tensors)
    assert "holds no tensor of a mypt model; its first is `transformer.wte.weight`" in line
    assert "mypt format migrate" in line
    (line,) = lines(CONFIG, {})
    assert "dante/model.pt: is empty" in line


def test_very_many_problems_are_cut_short():
    tensors = tensors_of(CONFIG) | {f"x.{n}": info((1,), 100 + n) for n in range(1000)}
    found = lines(CONFIG, tensors)
    assert len(found) == MAX_PROBLEMS + 1
    assert "has 950 more problems like these" in found[-1]


def test_weights_are_floating_point_numbers():
    for dtype in ("float64", "float32", "float16", "bfloat16"):
        tensors = tensors_of(CONFIG) | {"ln_f.weight": info((8,), 99, dtype)}
        assert lines(CONFIG, tensors) == []
    tensors = tensors_of(CONFIG) | {"ln_f.weight": info((8,), 99, "int64")}
    (line,) = lines(CONFIG, tensors)
    assert "ln_f.weight: has dtype int64" in line


def test_tensors_that_share_memory_are_refused_unless_they_are_tied():
    tensors = tensors_of(CONFIG)
    tensors["ln_f.weight"] = tensors["ln_f.bias"]
    (line,) = lines(CONFIG, tensors)
    assert "shares memory with" in line
    tensors = tensors_of(CONFIG)
    embedding = tensors["token_embedding_table.weight"]
    assert lines(CONFIG, tensors | {"lm_head.weight": embedding}) == []
    shifted = evolve(embedding, storage_offset=1, storage_bytes=400)
    (line,) = lines(CONFIG, tensors | {"lm_head.weight": shifted})
    assert "shares memory with" in line


def test_parts_of_one_memory_that_do_not_touch_are_well():
    tensors = {
        name: evolve(tensor, storage_key="0", storage_offset=1000 * index, storage_bytes=10**6)
        for index, (name, tensor) in enumerate(tensors_of(CONFIG).items())
    }
    assert lines(CONFIG, tensors) == []


def test_tied_matrices_stored_twice_are_a_note():
    tied = evolve(CONFIG, tie_weights=True)
    model = Model(tied, tensors_of(CONFIG), BUILT_IN, "config.json", "model.pt")
    (problem,) = tensor_problems(model)
    assert (problem.severity, problem.where) == ("note", "lm_head.weight")
    assert "--checksums" in problem.fix


def list_taper(config, layer):
    """Return the tensors of an MLP that is narrower the deeper it is."""
    return {"up.weight": (8 - layer, config.n_embd)}


def list_stack(config, layer):
    """Return the tensors of a stack of which every second layer has some."""
    if layer is None:
        return {"gate": (config.n_layer,)}
    return {"mix.weight": (8, 8 + layer)} if layer % 2 == 0 else {}


TAPER = evolve(CONFIG, mlp_type="taper")
STACK = evolve(CONFIG, stack_type="mine", n_layer=5, attention_type="of_nobody")
MORE = {
    **BUILT_IN,
    ("mlp_type", "taper"): PartLayout(list_taper),
    ("stack_type", "mine"): PartLayout(list_stack),
}


@pytest.mark.parametrize("config", [TAPER, STACK], ids=["taper", "stack"])
def test_layers_that_differ_fit_their_config(config):
    assert lines(config, tensors_of(config, MORE), MORE) == []


def test_the_tensors_of_another_layer_are_named():
    tensors = tensors_of(TAPER, MORE)
    first, last = "blocks.0.fwd.up.weight", "blocks.2.fwd.up.weight"
    tensors[first], tensors[last] = tensors[last], tensors[first]
    found = lines(TAPER, tensors, MORE)
    assert [line.partition(";")[0] for line in found] == [
        f"dante/model.pt {first}: has shape (6, 8), not (8, 8)",
        f"dante/model.pt {last}: has shape (8, 8), not (6, 8)",
    ]


@pytest.mark.parametrize("n_layer", [1, 2, 7])
def test_another_number_of_layers_that_differ_is_one_problem(n_layer):
    assert lines(evolve(TAPER, n_layer=n_layer), tensors_of(TAPER, MORE), MORE) == [
        f"config.json#/n_layer: is {n_layer}, but model.pt holds 3 blocks; set it back to 3"
    ]


def test_the_layers_of_a_stack_are_named_by_their_place():
    tensors = tensors_of(STACK, MORE)
    del tensors["blocks.layers.2.mix.weight"]
    (line,) = lines(STACK, tensors, MORE)
    assert "blocks.layers.1 to blocks.layers.3: is missing" in line
    tensors = tensors_of(STACK, MORE) | {"blocks.layers.3.mix.weight": info((8, 11), 99)}
    (line,) = lines(STACK, tensors, MORE)
    assert "blocks.layers.3.mix.weight: does not belong to a model of this config" in line
    tensors = tensors_of(STACK, MORE)
    del tensors["blocks.gate"]
    (line,) = lines(STACK, tensors, MORE)
    assert "blocks.gate: is missing" in line


def test_a_field_that_changed_is_found_where_layers_differ_too():
    assert lines(evolve(TAPER, vocab_size=12), tensors_of(TAPER, MORE), MORE) == [
        "config.json#/vocab_size: is 12, but model.pt was saved with 11; set it back to 11"
    ]


def test_no_field_explains_one_layer_that_is_not_like_the_others():
    narrow = tensors_of(evolve(CONFIG, mlp_hidden=7))
    mixed = {
        n: narrow[n] if n.startswith("blocks.0.") else t for n, t in tensors_of(CONFIG).items()
    }
    found = lines(CONFIG, {n: evolve(t, storage_key=n) for n, t in mixed.items()})
    assert len(found) == 3
    assert all("model.pt blocks.0.fwd.net." in line for line in found)
