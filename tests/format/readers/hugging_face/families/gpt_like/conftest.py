import pytest

from tests.support.neighbour_models import NeighbourModels
from tests.support.written_models import check_written


@pytest.fixture
def open_models(transformers, plugins, tmp_path):
    """Opens random models of the real classes, whose sizes have other names than most."""
    ids = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}

    def make(old_names=None, **sizes):
        folder = tmp_path / "model"
        return NeighbourModels(transformers, plugins, folder, {**ids, **sizes}, old_names)

    return make


@pytest.fixture
def check_as(transformers, plugins, tmp_path):
    """Checks models of mypt that are written as one of a family."""

    def check(model_type, fields):
        check_written(model_type, fields, transformers, plugins, tmp_path / "written")

    return check
