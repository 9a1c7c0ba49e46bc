import sys

import numpy as np
import pytest
import torch

from mypt.export.gguf.file import DTYPES, StoredTensor, choose_type, import_gguf, write_file
from mypt.format.errors import FormatError, PluginError
from mypt.format.tensors.gguf import load as gguf_file

VALUES = torch.linspace(-3, 3, 64).reshape(2, 32)


def write(path, type_name, values=VALUES):
    tensor = StoredTensor("x.weight", type_name, tuple(values.shape), lambda: values)
    metadata = {"general.name": "x", "yes": True, "one": 1, "half": 0.5, "texts": ["a", ""]}
    write_file(path, "llama", metadata | {"numbers": [1, -2], "none": []}, [tensor])
    return gguf_file.load(path, path.name)


@pytest.mark.parametrize("type_name", ["F32", "F16", "BF16", "Q8_0"])
def test_what_is_written_is_read_back(type_name, gguf, tmp_path):
    contents = write(tmp_path / "model.gguf", type_name)
    found = contents.tensors["x.weight"].float()
    wanted = gguf.quantize(VALUES.numpy(), gguf.GGMLQuantizationType[type_name])
    wanted = gguf.dequantize(wanted, gguf.GGMLQuantizationType[type_name]).reshape(2, 32)
    np.testing.assert_array_equal(found.numpy(), wanted)
    metadata = {
        "general.architecture": "llama",
        "general.name": "x",
        "yes": True,
        "one": 1,
        "half": 0.5,
        "texts": ["a", ""],
        "numbers": [1, -2],
    }
    assert contents.header.metadata == metadata


@pytest.mark.parametrize(("type_name", "value"), [("F16", 70000.0), ("Q8_0", 1e7)])
def test_a_value_too_large_for_its_type_is_refused(type_name, value, gguf, tmp_path):
    with pytest.raises(FormatError, match=rf"x\.weight: has values beyond .* of {type_name}"):
        write(tmp_path / "model.gguf", type_name, torch.full((2, 32), value))


def test_vectors_positions_and_odd_rows_have_types_of_their_own():
    assert choose_type("output_norm.weight", (64,), "Q8_0") == "F32"
    assert choose_type("position_embd.weight", (8, 64), "F16") == "F32"
    assert choose_type("output.weight", (8, 64), "Q8_0") == "Q8_0"
    assert choose_type("output.weight", (8, 48), "Q8_0") == "F16"
    assert choose_type("output.weight", (8, 48), "BF16") == "BF16"


def test_types_go_by_the_names_of_ggml_and_of_torch():
    assert {DTYPES[name] for name in ("float16", "f16", "F16")} == {"F16"}


def test_without_the_package_it_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(PluginError, match=r"pip install 'mypt-lm\[gguf\]'"):
        import_gguf()
