"""Texts that are asked for at the same time are those that each would be alone."""

import random
import threading
import time

import pytest
from attrs import evolve

import mypt
from mypt.engine.inference.batching.batch import Batch
from mypt.engine.inference.batching.batcher import BatcherClosed, QueueFull, TextBatcher
from mypt.engine.inference.continuation import Ending, GenerationSettings, Wanted
from mypt.format.errors import ConfigError

PROMPTS = ["the cat sat", "l", "", "line 12: the cat sat on the mat, 144 times.\n", "mat"]


@pytest.fixture(scope="module")
def model(bundle):
    return mypt.load(bundle)


@pytest.fixture
def batcher(model):
    with TextBatcher(model) as batcher:
        yield batcher


def settings(model, new=12, *, stop=(), stop_tokens=(), wanted=None, **sampling):
    return GenerationSettings(
        tokenizer=model.tokenizer,
        sampling=mypt.Sampling(**sampling),
        ending=Ending.of(model.tokenizer, new, stop, stop_tokens),
        wanted=wanted or Wanted(),
    )


def read(request):
    pieces = list(request)
    return "".join(piece.text for piece in pieces), [i for piece in pieces for i in piece.ids]


@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 3}, {"seed": 5, "top_k": 4}])
def test_texts_asked_for_together_are_those_of_each_alone(model, batcher, options):
    asked = [batcher.submit(prompt, settings(model, 40, **options)) for prompt in PROMPTS]
    for prompt, request in zip(PROMPTS, asked, strict=True):
        (alone,) = model.generate_many([prompt], 40, **options)
        assert read(request) == (alone.text, [*alone.ids])
        assert request.prompt_ids == alone.prompt_ids
        assert request.finish_reason == "length"


def test_a_text_stops_as_it_does_alone(model, batcher):
    for ending in ({"stop": "t"}, {"stop_tokens": "t"}):
        request = batcher.submit("the cat", settings(model, 50, seed=1, **ending))
        (alone,) = model.generate_many(["the cat"], 50, seed=1, **ending)
        assert read(request) == (alone.text, [*alone.ids])
        assert (request.finish_reason, request.stopped_by) == ("stop", "t")


def test_log_probabilities_come_with_the_tokens(model, batcher):
    wanted = Wanted(log_probs=True, top_log_probs=3)
    request = batcher.submit("the", settings(model, 9, seed=1, wanted=wanted))
    pieces = list(request)
    (alone,) = model.generate_many(["the"], 9, seed=1, log_probs=True)
    found = [value for piece in pieces for value in piece.log_probs]
    assert found == pytest.approx(alone.log_probs, abs=1e-4)
    for piece in pieces:
        assert len(piece.log_probs) == len(piece.top_log_probs) == len(piece.ids)
        for token, log_prob, top in zip(
            piece.ids, piece.log_probs, piece.top_log_probs, strict=True
        ):
            values = [value for _, value in top]
            assert len(top) == 3
            assert values == sorted(values, reverse=True)
            assert log_prob <= values[0]
            assert dict(top).get(token, log_prob) == pytest.approx(log_prob)


def test_as_many_wait_as_may(model):
    with TextBatcher(model, max_rows=1, max_waiting=2) as batcher:
        asked = [batcher.submit("the", settings(model, 10**6)) for _ in range(3)]
        with pytest.raises(QueueFull, match="waiting texts: are 2, as many as may be"):
            batcher.submit("the", settings(model))
        asked[-1].cancel()
        batcher.submit("the", settings(model, 1))
        for request in asked:
            request.cancel()


def test_a_cancelled_text_makes_room_for_the_next(model):
    with TextBatcher(model, max_rows=1) as batcher:
        endless = batcher.submit("the", settings(model, 10**6))
        next(endless)
        waiting = batcher.submit("the", settings(model, 3, temperature=0))
        endless.cancel()
        assert len(read(waiting)[1]) == 3
        assert endless.finish_reason == "cancelled"
        list(endless)


def test_a_prompt_is_refused_where_it_is_asked_for(model, batcher):
    with pytest.raises(ConfigError):
        batcher.submit([10**6], settings(model))


def test_closing_ends_all_texts(model):
    batcher = TextBatcher(model, max_rows=1)
    asked = [batcher.submit("the", settings(model, 10**6)) for _ in range(3)]
    batcher.close()
    batcher.close()
    assert [request.finish_reason for request in asked] == ["cancelled"] * 3
    with pytest.raises(BatcherClosed, match="is closed"):
        batcher.submit("the", settings(model))


def test_whoever_asked_is_called_whenever_there_is_more(model, batcher):
    called = threading.Event()
    request = batcher.submit("the", settings(model, 6, seed=1), on_change=called.set)
    pieces = []
    while not request.is_done:
        assert called.wait(60)
        called.clear()
        pieces += request.take_pieces()
    pieces += request.take_pieces()
    assert "".join(piece.text for piece in pieces) == model.generate("the", 6, seed=1)[3:]


def test_a_callback_that_fails_ends_its_text_alone(model, batcher):
    def fail():
        raise ValueError("nobody is there")

    request = batcher.submit("the", settings(model), on_change=fail)
    with pytest.raises(ValueError, match="nobody is there"):
        list(request)
    assert len(read(batcher.submit("the", settings(model, 3)))[1]) == 3


class Failing:
    """A tokenizer that cannot decode."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)

    def decode_bytes(self, ids):
        raise ValueError("no text")


def test_a_text_that_fails_ends_alone(model, batcher):
    fine = batcher.submit("the cat", settings(model, 30, seed=2))
    failing = evolve(settings(model, 30, seed=2), tokenizer=Failing(model.tokenizer))
    broken = batcher.submit("the", failing)
    with pytest.raises(ValueError, match="no text"):
        list(broken)
    assert broken.finish_reason is None
    assert read(fine)[0] == model.generate("the cat", 30, seed=2)[7:]
    assert len(read(batcher.submit("the", settings(model, 3)))[1]) == 3


def test_texts_that_wait_join_as_soon_as_others_end(model):
    with TextBatcher(model, max_rows=2) as batcher:
        endless = batcher.submit("the", settings(model, 10**6))
        for seed in range(4):
            request = batcher.submit("a", settings(model, 5, seed=seed))
            assert read(request)[0] == model.generate("a", 5, seed=seed)[1:]
        assert not endless.is_done
        endless.cancel()


def test_nothing_is_computed_while_nobody_asks(model, monkeypatch):
    waits, idle, steps = [], threading.Event(), []
    wait, step = threading.Condition.wait, Batch.step

    def count_wait(condition, timeout=None):
        if threading.current_thread().name == "mypt-batcher":
            waits.append(timeout)
            idle.set()  # it holds the lock, so that nobody can ask before it waits
        return wait(condition, timeout)

    def count_step(batch):
        steps.append(batch)
        step(batch)

    monkeypatch.setattr(threading.Condition, "wait", count_wait)
    monkeypatch.setattr(Batch, "step", count_step)
    with TextBatcher(model) as batcher:
        for asked in range(5):
            assert idle.wait(60)
            idle.clear()
            # Nothing but a text that is asked for ends a wait: it has no limit.
            assert waits == [None] * (asked + 1)
            assert len(read(batcher.submit("the", settings(model, 3)))[1]) == 3
        assert idle.wait(60)
        assert waits == [None] * 6
    assert len(steps) == 5 * 2  # of three tokens, the first comes with the prompt


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_fails_says_so_to_all(model, monkeypatch):
    both = threading.Event()

    def fail(_):
        both.wait()
        raise RuntimeError("a bug")

    with TextBatcher(model, max_rows=1) as batcher:
        monkeypatch.setattr(Batch, "step", fail)
        asked = [batcher.submit("the", settings(model)) for _ in range(2)]
        both.set()
        for request in asked:
            with pytest.raises(BatcherClosed, match=r"the batcher: has failed: .*a bug"):
                list(request)
        with pytest.raises(BatcherClosed, match="has failed"):
            batcher.submit("the", settings(model))


def test_many_threads_ask_read_and_cancel_at_once(model):
    wrong = []

    def ask(number):
        draw = random.Random(number)
        for _ in range(6):
            prompt, new = draw.choice(PROMPTS), draw.randint(1, 12)
            options = {"seed": draw.randrange(3), "temperature": draw.choice([0, 1.0])}
            request = batcher.submit(prompt, settings(model, new, **options))
            if draw.random() < 0.3:
                request.cancel()
            text, _ = read(request)
            if request.finish_reason != "cancelled" and text != expected(prompt, new, options):
                wrong.append((prompt, new, options))

    def expected(prompt, new, options):
        return next(iter(model.generate_many([prompt], new, **options))).text

    with TextBatcher(model, max_rows=3, max_waiting=64) as batcher:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        while batcher.n_running or batcher.n_waiting:
            time.sleep(0.001)
