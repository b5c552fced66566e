"""Wishes become windows: each once, the last wish first. No child, no model."""

import queue
from concurrent.futures import Future

import pytest

from sciup_napari.feeder import KEPT, Feeder
from sciup_napari.messages import QUICK, Got, Made, Wish

A, B, C, D = ((0, x) for x in (0, 128, 256, 384))
PATIENCE = 20


class Slow:
    """A source of windows that are made when the test says so."""

    def __init__(self, threads):
        self.threads, self.begun, self.running = threads, queue.Queue(), {}

    def make(self, core):
        return {"mean": core}

    def quick(self, core):
        return {"mean": core, QUICK: True}

    def submit(self, function, core):
        future = Future()
        key = (core, function == self.quick)
        self.running[key] = lambda: future.set_result(function(core))
        self.fail = future.set_exception
        self.begun.put(key)
        return future

    def next(self):
        return self.begun.get(timeout=PATIENCE)

    def finish(self, core, quick=False):
        self.running.pop((core, quick))()

    def idle(self):
        with pytest.raises(queue.Empty):
            self.begun.get(timeout=0.1)


@pytest.fixture
def slow():
    return Slow(threads=2)


@pytest.fixture
def feed(slow):
    sent, failed = queue.Queue(), queue.Queue()
    feeder = Feeder(sent.put, failed.put)
    feeder.sent, feeder.failed = sent, failed
    feeder.keep("t", lambda: slow)
    return feeder


def got(core, quick=False):
    return Got("t", core, quick)


def test_as_many_as_there_are_threads_in_the_order_of_the_wish(feed, slow):
    feed.wish(Wish("t", (C, A, B)))
    assert [slow.next(), slow.next()] == [(C, False), (A, False)]
    slow.idle()
    slow.finish(A)
    assert slow.next() == (B, False)
    assert feed.sent.get(timeout=PATIENCE) == Made("t", A, {"mean": A})


def test_a_new_wish_replaces_the_old_one(feed, slow):
    feed.wish(Wish("t", (A, B, C)))
    slow.next(), slow.next()
    feed.wish(Wish("t", (D,)))
    slow.finish(A)
    assert slow.next() == (D, False)
    slow.finish(B)
    slow.idle()  # C has left the screen


def test_what_is_being_made_or_has_not_arrived_is_not_begun_again(feed, slow):
    feed.wish(Wish("t", (A, B)))
    slow.next(), slow.next()
    slow.finish(A)  # sent, but the viewer has not heard of it when it wishes again
    feed.wish(Wish("t", (A, B)))
    slow.idle()
    feed.got(got(A))
    feed.wish(Wish("t", (A, B)))  # it had it, and has forgotten it
    assert slow.next() == (A, False)
    slow.idle()


def test_the_quick_ones_come_first_and_all_draws_later(feed, slow):
    feed.wish(Wish("t", (A, B), quick=(A,)))
    assert [slow.next(), slow.next()] == [(A, True), (A, False)]
    slow.finish(A, quick=True)
    assert feed.sent.get(timeout=PATIENCE).quick
    assert slow.next() == (B, False)


def test_a_few_draws_are_not_made_where_all_are_on_their_way(feed, slow):
    feed.wish(Wish("t", (A,)))
    slow.next()
    feed.wish(Wish("t", (A, B), quick=(A,)))
    assert slow.next() == (B, False)
    slow.finish(A)
    slow.idle()


def test_what_has_failed_is_told_and_can_be_tried_again(feed, slow):
    feed.wish(Wish("t", (A,)))
    slow.next()
    slow.fail(ValueError("no"))
    assert isinstance(feed.failed.get(timeout=PATIENCE), ValueError)
    feed.wish(Wish("t", (A,)))
    assert slow.next() == (A, False)


def test_what_could_not_be_sent_is_not_on_its_way(slow):
    def send(_):
        raise MemoryError

    failed = queue.Queue()
    feeder = Feeder(send, failed.put)
    feeder.keep("t", lambda: slow)
    for _ in range(2):
        feeder.wish(Wish("t", (A,)))
        assert slow.next() == (A, False)
        slow.finish(A)
        assert isinstance(failed.get(timeout=PATIENCE), MemoryError)


def test_a_wish_waits_for_its_source_and_only_the_last_sources_stay(feed, slow):
    feed.wish(Wish("later", (A,)))
    slow.idle()
    for k in range(KEPT):
        feed.keep(f"other {k}", lambda: Slow(1))
    late = Slow(1)
    feed.keep("later", lambda: late)
    assert late.next() == (A, False)
    feed.wish(Wish("t", (A,)))
    slow.idle()  # forgotten: must be opened again
    feed.keep("t", lambda: slow)
    assert slow.next() == (A, False)
