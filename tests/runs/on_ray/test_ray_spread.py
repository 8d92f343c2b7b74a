"""Work given to actors: all of it is done, whoever is lost meanwhile, and nothing is tried for ever."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from vsil_audit.errors import DetectorError, VsilAuditError
from vsil_audit.runs.on_ray.attempts import ATTEMPTS, Attempts
from vsil_audit.runs.on_ray.cluster import Cluster, Pool
from vsil_audit.runs.on_ray.spread import Spread

pytest.importorskip("ray").cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.slow
TWO = Pool(2, 1)


def numbers(up_to: int) -> Iterator[int]:
    yield from range(up_to)


class Squares:
    """Ends its process at the number `deadly`: the first time only, or each time."""

    def __init__(self, marks: Path, deadly: int, attempts: Attempts, always: bool = False) -> None:
        self.marks, self.deadly, self.always, self.attempts = marks, deadly, always, attempts

    def __call__(self, number: int) -> int:
        if self.attempts.are_used_up(str(number)):
            raise DetectorError("squares", f"ended its process {ATTEMPTS} times over {number}")
        if number == self.deadly:
            mark = self.marks / str(len(list(self.marks.iterdir())))
            if self.always or mark.name == "0":
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return number * number

    def close(self) -> None:
        pass


def test_what_a_lost_worker_had_in_hand_is_done_by_another(cluster: Cluster, tmp_path: Path) -> None:
    spread = Spread(partial(numbers, 30), Squares, (tmp_path, 11, Attempts(cluster)), cluster, TWO)
    assert sorted(spread.answers()) == [n * n for n in range(30)]
    assert len(list(tmp_path.iterdir())) == 1, "no worker was lost: the test proved nothing"


def test_what_ends_its_worker_each_time_is_given_up_and_named(cluster: Cluster, tmp_path: Path) -> None:
    spread = Spread(partial(numbers, 8), Squares, (tmp_path, 5, Attempts(cluster), True), cluster, TWO)
    with pytest.raises(DetectorError, match=f"squares ended its process {ATTEMPTS} times over 5") as met:
        list(spread.answers())
    assert (met.value.detector, met.value.exit_code) == ("squares", 70)
    assert "--skip squares" in met.value.remedy
    assert len(list(tmp_path.iterdir())) == ATTEMPTS


def breaking(up_to: int) -> Iterator[int]:
    yield from range(up_to)
    raise VsilAuditError("the table ends in the middle of a row", "Mend it.")


def test_an_error_of_the_work_itself_is_raised_here(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(VsilAuditError, match="in the middle of a row"):
        list(Spread(partial(breaking, 3), Squares, (tmp_path, 9, Attempts(cluster)), cluster, TWO).answers())
