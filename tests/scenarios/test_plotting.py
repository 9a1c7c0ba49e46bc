import hashlib
import json
import math
import re
from base64 import b64encode
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from mypt.format.errors import UsageError
from mypt.plotting.chart import chart_of, ticks
from mypt.plotting.html_page import html_page
from mypt.plotting.image import save_image
from mypt.plotting.read_log import read_log
from mypt.plotting.run import GoldMark, LoggedEvaluation, LoggedPhase, Run
from mypt.plotting.terminal import printed, terminal_lines

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&$\\frac"


def run_of(name="cat", steps=range(0, 101, 10), **fields):
    evaluations = [
        LoggedEvaluation(
            step=step,
            tokens=64 * step,
            lr=0.001 * (1 + step),
            losses={"val": 4 - step / 50, "train": 3.9 - step / 40, "code": 5 - step / 90},
        )
        for step in steps
    ]
    given = {
        "evaluations": tuple(evaluations),
        "gold": (
            GoldMark(step=10, val_loss=3.8, reason=None),
            GoldMark(step=50, val_loss=3.0, reason="overfit: too good"),
        ),
        "phases": (LoggedPhase(step=0, name="easy"), LoggedPhase(step=60, name="hard")),
        **fields,
    }
    return Run(name=name, file=f"{name}.jsonl", **given)


def hostile_run():
    evaluation = LoggedEvaluation(step=1, tokens=1, lr=0.1, losses={"val": 1.0, HOSTILE: 2.0})
    return run_of(
        HOSTILE,
        evaluations=(evaluation,),
        gold=(GoldMark(step=1, val_loss=1.0, reason=HOSTILE),),
        phases=(LoggedPhase(step=1, name=HOSTILE),),
    )


class Page(HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts, self._inside = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)

    def handle_endtag(self, tag):
        self._inside = None

    def tags(self, name):
        return [attrs for tag, attrs in self.elements if tag == name]


def text_of(run, **options):
    return printed(terminal_lines(chart_of([run] if isinstance(run, Run) else run, **options), 100))


def test_a_chart_has_a_line_for_each_loss_and_one_for_the_learning_rate():
    losses, rate = chart_of([run_of()]).panels
    assert [line.label for line in losses.lines] == ["val", "train", "code"]
    assert len({line.colour for line in losses.lines}) == 3
    assert losses.lines[0].points[1] == (10, 3.8)
    assert rate.lines[0].points[1] == (10, 0.001 * 11)
    assert [(mark.x, mark.y, mark.gold) for mark in losses.marks] == [
        (10, 3.8, True),
        (50, 3, False),
    ]
    assert "overfit" in losses.marks[1].text


def test_several_runs_have_a_colour_each_and_one_pattern_for_each_loss():
    lines = chart_of([run_of("cat"), run_of("dog", steps=(0, 5))]).panels[0].lines
    assert [line.label for line in lines[::3]] == ["cat val", "dog val"]
    assert [line.colour for line in lines] == [0, 0, 0, 1, 1, 1]
    assert [line.dash for line in lines] == [0, 1, 2, 0, 1, 2]
    dog = run_of("dog", evaluations=two_points(3, 2, name="code"))
    lines = chart_of([run_of("cat"), dog]).panels[0].lines
    assert [line.dash for line in lines] == [0, 1, 2, 0, 2]


def test_x_counts_tokens_where_that_is_asked_for():
    chart = chart_of([run_of()], "tokens")
    assert chart.x_range == (0, 6400)
    assert chart.panels[0].marks[1].x == 3200
    assert [boundary.x for boundary in chart.boundaries] == [0, 3840]


def test_a_log_that_counts_no_tokens_is_not_drawn_by_tokens(fixtures):
    run = read_log(fixtures / "mypt" / "logs" / "fused_simple.jsonl")
    with pytest.raises(UsageError, match="does not count tokens"):
        chart_of([run], "tokens")
    assert len(chart_of([run]).panels) == 1  # it knows no learning rate


def test_phases_that_runs_do_not_share_say_whose_they_are():
    names = [b.name for b in chart_of([run_of("cat"), run_of("dog", phases=())]).boundaries]
    assert names == ["cat: easy", "cat: hard"]
    assert [b.name for b in chart_of([run_of("cat"), run_of("dog")]).boundaries] == ["easy", "hard"]


@pytest.mark.parametrize(
    ("shown", "about", "wanted"),
    [
        ((0, 100), 5, [0, 20, 40, 60, 80, 100]),
        ((-1, 1), 4, [-1, -0.5, 0, 0.5, 1]),
        ((3, 7), 2, [4, 6]),
    ],
)
def test_ticks_are_round_numbers(shown, about, wanted):
    assert ticks(shown, about) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "shown", [(0, 1e-36), (-3e38, 3e38), (5, 5.000001), (0, 2**53), (0.1, 0.3)]
)
@pytest.mark.parametrize("about", [1, 2, 5, 8])
def test_any_range_has_few_ticks_within_it(shown, about):
    found = ticks(shown, about)
    span = shown[1] - shown[0]
    assert len(found) <= 2 * about + 2
    assert all(shown[0] - 1e-6 * span <= tick <= shown[1] + 1e-6 * span for tick in found)


def test_a_terminal_shows_names_values_marks_phases_and_ticks():
    text = text_of(run_of())
    for word in ("loss (nats per token)", "learning rate", "easy", "hard", "steps", "gold blocked"):
        assert word in text
    for legend in ("val 2", "train 1.4", "code 3.889", "learning rate 1.0e-1"):
        assert legend in text
    assert text.count("\u25c6") == text.count("\u00d7") == 2  # the mark and its legend
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("losses", "goes_down"), [((5.0, 1.0), True), ((1.0, 5.0), False)])
def test_a_line_of_the_terminal_goes_where_its_values_go(losses, goes_down):
    run = run_of(gold=(), phases=(), evaluations=two_points(*losses))
    rows = [line for line in text_of(run).splitlines() if line[9:10] in ("\u2502", "\u2524")]
    dots = [row for row, line in enumerate(rows) if any(c > "\u2800" for c in line)]
    begin = next(row for row, line in enumerate(rows) if line[10:11] > "\u2800")
    assert begin == (dots[0] if goes_down else dots[-1])
    assert len(dots) > 10


def two_points(first, last, name="val"):
    return tuple(
        LoggedEvaluation(step=step, tokens=None, lr=None, losses={"val": 1.0, name: loss})
        for step, loss in ((0, first), (10, last))
    )


def test_a_loss_that_is_not_finite_leaves_a_gap_in_the_line():
    evaluations = tuple(
        LoggedEvaluation(step=step, tokens=None, lr=None, losses={"val": loss})
        for step, loss in enumerate([4.0, 3.0, math.nan, 2.0, 1.0])
    )
    run = run_of(evaluations=evaluations, gold=(), phases=())
    page = Page(html_page(chart_of([run]), [run]))
    curve = next(a["d"] for a in page.tags("path") if a["d"].count("M") > 1)
    assert re.sub(r"[^ML]", "", curve) == "MLML"


@pytest.mark.parametrize(
    "losses", [[1.0], [math.nan], [2.0, 2.0], [math.nan, 1, math.nan], [3e38, 0]]
)
@pytest.mark.parametrize("count", [1, 3])
def test_odd_runs_are_drawn_all_the_same(losses, count, tmp_path):
    evaluations = tuple(
        LoggedEvaluation(step=step, tokens=None, lr=None, losses={"val": loss})
        for step, loss in enumerate(losses)
    )
    runs = [run_of(f"run {n}", evaluations=evaluations, gold=()) for n in range(count)]
    chart = chart_of(runs)
    assert terminal_lines(chart, 60)
    assert Page(html_page(chart, runs)).tags("svg")
    save_image(chart, tmp_path / "odd.svg")
    assert "nan" not in html_page(chart, runs).lower().replace("not finite", "")


def test_a_run_that_ends_in_nan_says_so():
    last = LoggedEvaluation(step=200, tokens=1, lr=0.1, losses={"val": math.nan})
    run = run_of(evaluations=(*run_of().evaluations, last))
    assert "val not finite" in text_of(run)
    assert "val not finite" in html_page(chart_of([run]), [run])


def test_a_phase_that_begins_after_the_last_evaluation_is_shown():
    chart = chart_of([run_of(phases=(LoggedPhase(step=150, name="late"),))])
    assert chart.x_range == (0, 150)


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
