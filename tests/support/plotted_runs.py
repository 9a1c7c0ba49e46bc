"""Runs to draw, and a page as a browser reads it."""

from html.parser import HTMLParser

from mypt.plotting.run import GoldMark, LoggedEvaluation, LoggedPhase, Run

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


def two_points(first, last, name="val"):
    return tuple(
        LoggedEvaluation(step=step, tokens=None, lr=None, losses={"val": 1.0, name: loss})
        for step, loss in ((0, first), (10, last))
    )
