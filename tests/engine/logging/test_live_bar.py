import io

from rich.console import Console, Group

from mypt.engine.logging.live_bar import LiveBar


def lines_of(bar, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(Group(*bar.get_renderables()))
    return console.file.getvalue().splitlines()


def test_the_figures_are_a_line_of_their_own_and_never_two():
    bar = LiveBar(Console(file=io.StringIO()))
    bar.add_task("training", total=10)
    assert len(lines_of(bar, 80)) == 1
    bar.figures = "loss 2.5000 | " * 10
    shown = lines_of(bar, 60)
    assert len(shown) == 2
    assert len(shown[1]) <= 60
    assert shown[1].endswith("…")
