import pytest


@pytest.fixture(scope="session")
def gguf():
    return pytest.importorskip("gguf", reason="the package gguf is not installed")


@pytest.fixture
def export(gguf, plugins, tmp_path):
    """Save a model, export it, and return the file and the notes."""
    import mypt

    def export(model, **options):
        bundle, path = tmp_path / "bundle", tmp_path / "model.gguf"
        model.save(bundle)
        notes = mypt.export_model(bundle, "gguf", path, plugins=plugins, options=options)
        return path, notes

    return export
