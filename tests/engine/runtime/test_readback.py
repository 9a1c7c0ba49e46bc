"""Values read while a device goes on, and the order in which they are begun."""

import pytest
import torch

from mypt.engine.runtime.readback import Readback, in_flight


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_reading_gives_the_values(dtype):
    values = torch.arange(6, dtype=dtype).view(2, 3)
    assert torch.equal(Readback(values).values(), values)
    assert torch.equal(Readback(values[:, 1]).values(), values[:, 1])


def test_a_reading_is_of_no_graph():
    assert not Readback(torch.ones(2, requires_grad=True) * 3).values().requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_reading_does_not_wait_for_what_a_gpu_is_asked_to_do_after_it():
    reading = Readback(torch.arange(3, device="cuda") * 2)
    torch.cuda._sleep(2_000_000_000)  # about a second
    assert reading.values().tolist() == [0, 2, 4]
    assert not torch.cuda.current_stream().query()


@pytest.mark.parametrize(
    ("count", "begun_with_each"),
    [(0, [1, 2, 3, 4]), (1, [2, 3, 4, 4]), (3, [4, 4, 4, 4]), (9, [4, 4, 4, 4])],
)
def test_so_many_more_are_begun_before_one_is_given(count, begun_with_each):
    begun = []

    def readings():
        for number in range(4):
            begun.append(number)
            yield number

    given = [(number, len(begun)) for number in in_flight(readings(), count)]
    assert given == list(enumerate(begun_with_each))


def test_nothing_comes_of_nothing():
    assert list(in_flight(iter(()), 2)) == []
