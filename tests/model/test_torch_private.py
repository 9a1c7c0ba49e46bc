"""Names of torch that are not public: each is still there, and does what mypt takes it for."""

import ast
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

import mypt
from mypt.model import torch_private as private

CHANGED = f"is not what it was in torch {torch.__version__}: mend mypt/model/torch_private.py"


@contextmanager
def using(name):
    """Say which name of torch it is about where anything in here goes wrong."""
    try:
        yield
    except Exception as error:
        pytest.fail(f"{name} {CHANGED} ({error!r})")


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(8, 4).requires_grad_(False)


OPTIMIZERS = ("AdamW", "SGD", "Adafactor")


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(
    "name", ["add_param_group", "zero_grad", "state_dict", "load_state_dict", "step"]
)
def test_methods_of_optimizers_that_are_wrapped_can_be_unwrapped(kind, name):
    with using(f"torch.optim.{kind}.{name}"):
        assert hasattr(getattr(getattr(torch.optim, kind), name), "__wrapped__")


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_takes_the_step_of_torch(kind, layer):
    other = nn.Linear(8, 4)
    other.load_state_dict(layer.state_dict())
    classes = getattr(private, kind), getattr(torch.optim, kind)
    with using(f"torch.optim.{kind}, unwrap_weights,"):
        for of_both, cls in zip((layer.requires_grad_(), other), classes, strict=True):
            of_both.weight.grad = torch.ones_like(of_both.weight)
            cls(of_both.parameters(), lr=0.1).step()
        assert torch.equal(layer.weight, other.weight)


def test_of_some_groups_the_others_stay_and_a_scaler_divides_their_gradients(layer):
    layer.requires_grad_()
    groups = [{"params": [layer.weight]}, {"params": [layer.bias]}]
    before = layer.weight.detach().clone(), layer.bias.detach().clone()
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer = private.AdamWOfSomeGroups(groups, lr=0.1, fused=True)
    optimizer.step_groups(optimizer.param_groups[1:])
    assert torch.equal(layer.weight, before[0])
    assert not torch.equal(layer.bias, before[1])
    assert len(optimizer.param_groups) == 2
    with using("_step_supports_amp_scaling"):
        assert torch.optim.AdamW(layer.parameters(), fused=True)._step_supports_amp_scaling
        assert not optimizer._step_supports_amp_scaling


@pytest.mark.parametrize(
    "move",
    [nn.Module.double, lambda m: m.to(torch.bfloat16), lambda m: m.to_empty(device="cpu")],
    ids=["double", "to", "to_empty"],
)
def test_every_move_goes_through_apply(move):
    class Told(private.MoveAwareModule):
        times = 0

        def on_move(self):
            self.times += 1

    with using("Module._apply"):
        module = Told()
        assert move(nn.Sequential(module))[0] is module
        assert module.times == 1


@pytest.mark.parametrize(
    ("register", "name"),
    [
        ("register_forward_hook", "Module._forward_hooks"),
        ("register_forward_pre_hook", "Module._forward_pre_hooks"),
    ],
)
def test_hooks_of_a_module_are_found(layer, register, name):
    with using(name):
        assert not private.has_hooks(layer)
        hook = getattr(layer, register)(lambda *_: None)
        assert private.has_hooks(layer)
        hook.remove()
        assert not private.has_hooks(layer)


def test_a_compiled_module_can_be_had_back():
    class Doubler(nn.Module):
        def forward(self, x):
            return 2 * x

    module, calls = Doubler(), []

    def backend(graph, _):
        calls.append(graph)
        return graph.forward

    def is_compiled():
        calls.clear()
        torch.compiler.reset()
        module(torch.ones(3))
        return bool(calls)

    with using("Module._compiled_call_impl"):
        module.compile(backend=backend)
        assert is_compiled()
        private.discard_compiled(module)
        assert not is_compiled()


def test_the_compiler_can_be_told_not_to_cut_layers():
    with using("torch._dynamo.config.optimize_ddp"):
        from torch._dynamo import config

        before = config.optimize_ddp
        with private.compile_whole_layers():
            assert config.optimize_ddp is False
        assert config.optimize_ddp == before


def test_a_packed_layer_computes_what_the_layer_does(layer):
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch was built without oneDNN")
    with using("torch.ops.mkldnn._reorder_linear_weight or _linear_pointwise"):
        assert private.can_pack_linear()
        x = torch.randn(3, 8)
        torch.testing.assert_close(private.pack_linear(layer, 3)(x), layer(x))


def test_a_packed_layer_may_be_of_bfloat16_where_the_processor_multiplies_it(layer):
    with using("torch.ops.mkldnn._is_mkldnn_bf16_supported"):
        supported = private.can_pack_linear(torch.bfloat16)
    assert not private.can_pack_linear(torch.float16)
    if not supported:
        pytest.skip("oneDNN does not multiply bfloat16 here")
    rounded = layer.to(torch.bfloat16)
    x = torch.randn(3, 8, dtype=torch.bfloat16)
    torch.testing.assert_close(private.pack_linear(rounded, 3)(x), rounded(x))


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions.*deprecated")
def test_integers_and_factors_become_a_quantized_tensor():
    rounded, factors = torch.tensor([[1, -2], [3, 4]], dtype=torch.int8), torch.tensor([0.5, 2.0])
    with using("torch._make_per_channel_quantized_tensor"):
        assert private.can_quantize_rows()
        made = private.quantize_rows(rounded, factors)
        assert made.dequantize().tolist() == [[0.5, -1.0], [6.0, 8.0]]


def test_products_of_8_bits_are_added_up_in_32():
    a = torch.full((32, 32), 127, dtype=torch.int8)
    with using("torch._int_mm"):
        product = private.multiply_int8(a, a)
        assert product.dtype == torch.int32
        assert (product == 32 * 127**2).all()


ROOT = Path(mypt.__file__).parent
# Private names of others than torch.
OTHERS = {"_exit", "_replace", "_typeshed"}  # `_replace` is what NamedTuples offer


def find_private_names(path):
    """Find attributes and modules with a leading underscore that are not the object's own."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = (node.module or "").split(".")
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        yield from (n for n in names if n.startswith("_") and not n.startswith("__"))


def test_private_names_of_torch_stand_in_one_module():
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in ROOT.rglob("*.py")
        if (names := set(find_private_names(path)) - OTHERS)
    }
    assert set(found) == {"model/torch_private.py"}, found


def test_hooks_have_numbers_of_their_own_and_writes_are_counted(layer):
    with using("Module._forward_hooks, Tensor._version,"):
        first = layer.register_forward_hook(print)
        assert private.hook_ids(layer) == (first.id,)
        first.remove()
        second = layer.register_forward_pre_hook(print)
        assert private.hook_ids(layer) == (second.id,) != (first.id,)
        before = private.tensor_version(layer.weight)
        layer.weight.mul_(2)
        assert private.tensor_version(layer.weight) > before
        with torch.inference_mode():
            assert private.tensor_version(torch.ones(1)) == 0


def test_a_storage_is_identified_also_where_it_is_empty():
    tensor, empty = torch.zeros(4), [torch.zeros(0, 3) for _ in range(2)]
    assert private.identify_storage(tensor) == private.identify_storage(tensor[2:].detach())
    assert private.identify_storage(empty[0]) == private.identify_storage(empty[0].detach())
    assert len({private.identify_storage(one) for one in (tensor, *empty)}) == 3
