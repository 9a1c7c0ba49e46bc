import tracemalloc

import pytest
import torch

from mypt.model.decoding import rows as rows_module
from mypt.model.decoding.generate import generate
from mypt.model.decoding.rows import Rows
from mypt.model.decoding.sampling_options import Sampling

HUGE = 10**18


def counted(asked):
    def draw(row, count):
        asked.append(count)
        return torch.arange(count) + 100.0 * row

    return draw


def test_room_is_made_for_what_is_there_and_not_for_what_may_come(monkeypatch):
    monkeypatch.setattr(rows_module, "ROOM", 4)
    asked = []
    rows = Rows([torch.tensor([1, 2, 3]), torch.tensor([4])], HUGE, counted(asked))
    assert rows.end == HUGE + 3
    for position in range(rows.shortest, 40):
        wanted = [float(max(0, position - 3)), 100.0 + position - 1]
        if position >= 3:
            assert rows.draws(position).tolist() == wanted
        assert rows.put(position, torch.tensor([7, position])).tolist()[1] == position
    assert max(asked) < 80
    assert rows.window(40, 38).tolist() == [[3, *[7] * 37], list(range(2, 40))]
    assert rows.window(3, 99).tolist() == [[1, 2, 3], [4, 1, 2]]


def test_the_room_ends_with_the_text(monkeypatch):
    monkeypatch.setattr(rows_module, "ROOM", 4)
    asked = []
    rows = Rows([torch.tensor([1])], 6, counted(asked))
    for position in range(1, rows.end):
        rows.put(position, torch.tensor([0]))
    assert max(asked) == 6


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling(seed=1)])
def test_what_may_come_costs_nothing(make_model, ids, sampling):
    model = make_model()
    made = generate(model, ids(2, 3), HUGE, sampling, draw=lambda _, count: torch.rand(count))
    tracemalloc.start()
    try:
        assert len([step for step, _ in zip(made, range(30), strict=False)]) == 30
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_text_is_the_same_whatever_room_there_is(make_model, ids, monkeypatch):
    model, numbers = make_model(), torch.rand(2, 50)
    prompts = [ids(1, 3)[0], ids(1, 9)[0]]

    def tokens():
        draw = lambda row, count: numbers[row, :count]  # noqa: E731
        return torch.stack(list(generate(model, prompts, 50, Sampling(), draw=draw)))

    whole = tokens()
    monkeypatch.setattr(rows_module, "ROOM", 3)
    assert torch.equal(tokens(), whole)
