"""Work given to actors: all of it is done, whoever is lost meanwhile, and what goes wrong is told where it began."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from vsil_audit.errors import VsilAuditError
from vsil_audit.runs.on_ray.cluster import Cluster, Pool
from vsil_audit.runs.on_ray.spread import Spread

pytest.importorskip("ray").cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.slow
TWO = Pool(2, 1)


def numbers(up_to: int) -> Iterator[int]:
    yield from range(up_to)


class Squares:
    """Ends its process at the number `deadly`, the first time."""

    def __init__(self, mark: Path, deadly: int) -> None:
        self.mark, self.deadly = mark, deadly

    def __call__(self, number: int) -> int:
        if number == self.deadly and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number * number

    def close(self) -> None:
        pass


def test_what_a_lost_worker_had_in_hand_is_done_by_another(cluster: Cluster, tmp_path: Path) -> None:
    spread = Spread(partial(numbers, 30), Squares, (tmp_path / "mark", 11), cluster, TWO)
    assert sorted(spread.answers()) == [n * n for n in range(30)]
    assert (tmp_path / "mark").exists(), "no worker was lost: the test proved nothing"


def breaking(up_to: int) -> Iterator[int]:
    yield from range(up_to)
    raise VsilAuditError("the table ends in the middle of a row", "Mend it.")


def test_an_error_of_the_work_itself_is_raised_here(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(VsilAuditError, match="in the middle of a row"):
        list(Spread(partial(breaking, 3), Squares, (tmp_path / "mark", 9), cluster, TWO).answers())
