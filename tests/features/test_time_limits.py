"""Time limits: what takes too long is ended, once, and never after it was done."""

from __future__ import annotations

import threading
import time
from contextlib import closing

from vsil_audit.features.time_limits import TimeLimits


def test_what_takes_too_long_is_ended_once_and_knows_it() -> None:
    ended = threading.Event()
    times: list[float] = []

    def end() -> None:
        times.append(time.monotonic())
        ended.set()

    with closing(TimeLimits()) as limits, limits.within(0.1, end) as limit:
        begun = time.monotonic()
        assert ended.wait(10)
        assert limit.passed
        time.sleep(0.3)
    assert len(times) == 1
    assert 0.05 < times[0] - begun < 5


def test_what_is_done_in_time_is_never_ended() -> None:
    ended: list[int] = []
    with closing(TimeLimits()) as limits:
        for i in range(200):
            with limits.within(0.5, lambda i=i: ended.append(i)) as limit:  # type: ignore[misc]  # bound to its own i
                pass
            assert not limit.passed
        time.sleep(0.7)
    assert ended == []


def test_a_short_limit_does_not_wait_for_a_long_one() -> None:
    ended = threading.Event()
    with closing(TimeLimits()) as limits, limits.within(3600, ended.set) as long:
        time.sleep(0.1)  # the thread sleeps for an hour by now
        with limits.within(0.1, ended.set) as short:
            assert ended.wait(10)
        assert short.passed
        assert not long.passed


def test_what_is_under_way_when_it_is_closed_is_still_watched_and_then_the_thread_ends() -> None:
    before = threading.active_count()
    ended = threading.Event()
    limits = TimeLimits()
    with limits.within(60, ended.set):
        limits.close()
        with limits.within(0.1, ended.set) as limit:
            assert ended.wait(10)
        assert limit.passed
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_each_of_many_passes_by_itself() -> None:
    ended: list[int] = []

    def one(i: int) -> None:
        with limits.within(0.1 if i % 2 else 60, lambda: ended.append(i)):
            time.sleep(0.5)

    with closing(TimeLimits()) as limits:
        threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(ended) == [1, 3, 5, 7, 9]


def test_an_end_that_breaks_leaves_the_others_watched() -> None:
    ended = threading.Event()

    def breaks() -> None:
        raise PermissionError

    with closing(TimeLimits()) as limits, limits.within(0.05, breaks), limits.within(0.1, ended.set):
        assert ended.wait(10)
