from xml.etree import ElementTree

import pytest

from mypt.plotting.chart import chart_of
from mypt.plotting.image import save_image
from tests.support.plotted_runs import hostile_run, run_of


@pytest.mark.parametrize("suffix", ["png", "svg", "PNG"])
def test_a_picture_is_of_the_kind_that_its_name_says(tmp_path, suffix):
    path = tmp_path / f"runs.{suffix}"
    save_image(chart_of([run_of(), hostile_run(), run_of("_hidden \u732b")]), path)
    data = path.read_bytes()
    if suffix == "svg":
        assert ElementTree.fromstring(data).tag.endswith("svg")
    else:
        assert data.startswith(b"\x89PNG")
    assert len(data) > 10_000
