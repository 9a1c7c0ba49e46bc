import hashlib
import json
import math
import re
from base64 import b64encode
from xml.etree import ElementTree

from mypt.plotting.chart import chart_of
from mypt.plotting.html_page import html_page
from mypt.plotting.run import LoggedEvaluation
from tests.support.plotted_runs import HOSTILE, Page, hostile_run, run_of


def test_a_loss_that_is_not_finite_leaves_a_gap_in_the_line():
    evaluations = tuple(
        LoggedEvaluation(step=step, tokens=None, lr=None, losses={"val": loss})
        for step, loss in enumerate([4.0, 3.0, math.nan, 2.0, 1.0])
    )
    run = run_of(evaluations=evaluations, gold=(), phases=())
    page = Page(html_page(chart_of([run]), [run]))
    curve = next(a["d"] for a in page.tags("path") if a["d"].count("M") > 1)
    assert re.sub(r"[^ML]", "", curve) == "MLML"


def test_a_page_draws_every_line_and_mark():
    run = run_of()
    page = Page(html_page(chart_of([run]), [run]))
    panels = [attrs for attrs in page.tags("svg") if attrs.get("class") == "panel"]
    assert len(panels) == 2
    kinds = [attrs["class"].split()[0] for attrs in page.tags("path")]
    assert kinds.count("line") == 2 * (3 + 1)  # with their legends
    assert kinds.count("gold") == kinds.count("blocked") == 2
    assert len(page.tags("tr")) == 1 + len(run.evaluations)


def test_a_page_loads_nothing_and_carries_its_numbers():
    run = run_of()
    page = html_page(chart_of([run]), [run])
    assert not re.search(r"(?i)https?:|//[a-z]|@import|url\(|\bsrc=|\bhref=", page)
    data = json.loads(Page(page).scripts[0])
    assert data["panels"][0][0]["points"][1] == [10, 3.8]


def test_the_script_of_a_page_is_the_one_that_its_policy_lets_run():
    run = run_of()
    page = Page(html_page(chart_of([run]), [run]))
    policy = next(a["content"] for a in page.tags("meta") if "http-equiv" in a)
    digest = b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_hostile_log_cannot_put_anything_into_a_page():
    run = hostile_run()
    runs = [run, run_of()]
    harmless = [run_of("a", evaluations=run.evaluations, gold=run.gold), run_of()]
    page = Page(html_page(chart_of(runs), runs))
    assert len(page.tags("script")) == 2
    assert not page.tags("img")
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    tags = {tag for tag, _ in page.elements}
    assert tags <= {tag for tag, _ in Page(html_page(chart_of(harmless), harmless)).elements}
    assert HOSTILE in json.loads(page.scripts[0])["panels"][0][1]["label"]


def test_a_page_s_drawing_is_sound_xml():
    runs = [hostile_run(), run_of()]
    page = html_page(chart_of(runs), runs)
    drawings = re.findall(r"<svg class=.*?</svg>", page, re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_the_same_runs_give_the_same_page():
    pages = {html_page(chart_of([run]), [run]) for run in (run_of(), run_of())}
    assert len(pages) == 1


def test_the_page_of_a_long_run_stays_small_and_says_how_much_it_lists():
    run = run_of(steps=range(100_000))
    page = html_page(chart_of([run]), [run])
    assert len(page) < 1_500_000
    assert "Numbers of cat: 1,000 of 100,000 evaluations" in page
    assert "<td>0</td>" in page
    assert "<td>99,999</td>" in page


def test_a_curve_above_its_panel_is_clipped_and_said_in_words():
    first = LoggedEvaluation(step=0, tokens=0, lr=0.1, losses={"val": 90.0})
    run = run_of(evaluations=(first, *run_of().evaluations[1:]), gold=())
    page = html_page(chart_of([run]), [run])
    assert "<p>above, at step 0: val 90</p>" in page
    assert 'clip-path="url(#inside0)"' in page
    assert json.loads(Page(page).scripts[0])["panels"][0][0]["points"][0] == [0, 90]
