import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from matplotlib import rc_context

from mypt.plotting.chart import chart_of
from mypt.plotting.image import save_image
from mypt.plotting.run import LoggedEvaluation, LoggedPhase
from tests.support.plotted_runs import hostile_run, run_of

SVG = "{http://www.w3.org/2000/svg}"


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


@pytest.mark.parametrize("phases", [(), (LoggedPhase(step=0, name="easy"),)])
def test_a_note_is_written_over_the_curves_and_over_the_names_of_phases(tmp_path, phases):
    steep = [LoggedEvaluation(step=n, tokens=n, lr=1, losses={"val": 3 + 99**-n}) for n in range(9)]
    chart = chart_of([run_of(evaluations=tuple(steep), gold=(), phases=phases)])
    with rc_context({"svg.fonttype": "none"}):
        save_image(chart, tmp_path / "run.svg")
    root = ElementTree.parse(tmp_path / "run.svg").getroot()
    # From above: the title of the picture, the note, names of phases, and the first panel.
    texts = {"".join(text.itertext()): float(text.get("y")) for text in root.iter(f"{SVG}text")}
    panel = root.find(f".//{SVG}g[@id='patch_2']/{SVG}path").get("d")
    top = min(float(y) for y in re.findall(r"[ML] \S+ (\S+)", panel))
    order = ["cat", chart.panels[0].note, *(phase.name for phase in phases)]
    heights = [*(texts[name] for name in order), top]
    assert heights == sorted(heights)
    assert min(b - a for a, b in pairwise(heights)) > 2
