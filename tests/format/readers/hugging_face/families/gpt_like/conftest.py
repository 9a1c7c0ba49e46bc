import pytest

from tests.support import class_folders
from tests.support.neighbour_models import NeighbourModels


@pytest.fixture
def open_models(transformers, plugins, tmp_path):
    """Opens random models of the real classes, whose sizes have other names than most."""
    ids = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}

    def make(old_names=None, **sizes):
        folder = tmp_path / "model"
        return NeighbourModels(transformers, plugins, folder, {**ids, **sizes}, old_names)

    return make


@pytest.fixture
def check_written(transformers, tmp_path):
    """Checks that models of mypt are written for a class."""
    return lambda name, fields: class_folders.check_written(
        name, fields, transformers, tmp_path / "written"
    )
