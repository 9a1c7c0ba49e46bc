import threading

import pytest

from mypt.engine.inference.batching.request import Piece, TextRequest

ONE, TWO = Piece("a", (1,)), Piece("b", (2,))


def make_request(on_change=None):
    return TextRequest(None, None, on_change)


def test_pieces_are_waited_for_in_order():
    request = make_request()
    read = []
    reader = threading.Thread(target=lambda: read.extend(request))
    reader.start()
    request.put(ONE)
    request.put(TWO)
    request.finish("length")
    reader.join(10)
    assert (read, request.finish_reason) == ([ONE, TWO], "length")


def test_an_error_comes_after_the_pieces_before_it():
    request = make_request()
    request.put(ONE)
    request.fail(ValueError("oh"))
    assert next(request) == ONE
    with pytest.raises(ValueError, match="oh"):
        next(request)
    with pytest.raises(ValueError, match="oh"):
        request.take_pieces()


def test_one_that_has_ended_stays_as_it_is():
    request = make_request()
    request.finish("stop", "<|end|>")
    request.cancel()
    request.put(ONE)
    assert (request.finish_reason, request.stopped_by) == ("stop", "<|end|>")
    assert request.take_pieces() == []


def test_each_change_is_told_until_that_fails():
    told = []

    def tell():
        told.append(len(told))
        if len(told) == 2:
            raise ValueError("gone")

    request = make_request(tell)
    request.put(ONE)
    request.put(TWO)
    assert (told, request.is_done, str(request.error)) == ([0, 1], True, "gone")
    assert request.take_pieces() == [ONE, TWO]
