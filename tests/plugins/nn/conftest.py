"""The tiny models of `tests/model`."""

from tests.model.conftest import ids, make_model, plugins, tiny

__all__ = ["ids", "make_model", "plugins", "tiny"]
