import pytest
import torch

from mypt.format.errors import FormatError
from mypt.format.tensors.info import StorageInfo
from mypt.format.tensors.pickles.pickle_reader import Interpreter
from mypt.format.tensors.pickles.torch_names import GLOBALS, TorchFunction, reject_name


def refuse(name):
    with pytest.raises(FormatError) as caught:
        reject_name(Interpreter(b"", "model.pt"), name)
    (problem,) = caught.value.problems
    assert problem.file == "model.pt"
    assert problem.kind == "pickle.global"
    return str(problem)


def test_storages_are_those_of_torch_and_functions_are_never_those_themselves():
    for name, known in GLOBALS.items():
        module, _, thing = name.decode().partition("\n")
        if isinstance(known, StorageInfo):
            assert torch.zeros(1, dtype=getattr(torch, known.dtype)).type() == (
                f"torch.{thing.replace('Storage', 'Tensor')}"
            )
            assert (module, known.key, known.numel) == ("torch", "", 0)
        else:
            assert isinstance(known, TorchFunction)
            assert known.value == thing


@pytest.mark.parametrize(
    "name", [b"os\nsystem", b"builtins\neval", b"subprocess\nPopen", b"pip._internal\nmain"]
)
def test_what_does_something_when_called_is_not_to_be_trusted(name):
    assert "which no checkpoint needs; do not trust its source" in refuse(name)


@pytest.mark.parametrize("name", [b"model\nGPTConfig", b"builtins\nset", b"datetime\ndatetime"])
def test_an_object_of_a_program_is_to_be_saved_as_plain_values(name):
    assert "only the program that wrote it can build; save it again where" in refuse(name)


def test_tensors_that_are_not_read_are_to_be_converted():
    for name in (b"torch._utils\n_rebuild_qtensor", b"torch\nComplexFloatStorage"):
        assert "holds a tensor that mypt does not read" in refuse(name)


def test_a_name_is_shown_without_control_characters_and_not_in_full():
    shown = refuse(b"a\x1b[2J\n" + b"b" * 500)
    assert "\x1b" not in shown
    assert len(shown) < 400
