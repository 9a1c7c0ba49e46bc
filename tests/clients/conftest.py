import pytest

import mypt
from tests.support.exported_models import CASES, Exported, export, make_model


@pytest.fixture(scope="session", params=CASES, ids="-".join)
def exported(request, tmp_path_factory):
    folder, plugins = tmp_path_factory.mktemp("exported"), mypt.load_plugins()
    make_model(*request.param, plugins).save(folder / "model")
    export(folder / "model", folder / "hf")
    return Exported(mypt.load(folder / "model", plugins=plugins), folder / "hf")
