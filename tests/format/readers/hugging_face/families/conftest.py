import pytest

from tests.support.neighbour_models import NeighbourModels


@pytest.fixture
def neighbours(transformers, plugins, tmp_path):
    """Opens random models of the real classes."""
    return NeighbourModels(transformers, plugins, tmp_path / "model")
