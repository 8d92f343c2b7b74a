"""A reader of batches in a process of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from vsil_audit.errors import RunFolderError
from vsil_audit.images import ImageLimits
from vsil_audit.pair import Pair
from vsil_audit.runs.on_ray.attempts import Attempts
from vsil_audit.runs.on_ray.reading import BatchReader, Piece
from vsil_audit.runs.reader import RawBatch, ReaderSettings


class UsedUp:
    def are_used_up(self, work: str) -> bool:
        return work == "batch 3"


def test_a_batch_that_ended_its_worker_each_time_is_given_up_and_named(tmp_path: Path) -> None:
    settings = ReaderSettings(tmp_path, frozenset(), ImageLimits(), workers=1)
    reader = BatchReader(settings, tmp_path / "run", cast("Attempts", UsedUp()))
    batches = [RawBatch(i, (Pair(f"q{i}0", "a"), Pair(f"q{i}9", "b")), ()) for i in (2, 3)]
    assert reader(Piece(batches[0], 3, pairs_passed=512)).pairs == 514
    with pytest.raises(RunFolderError, match=r"batch 3 \(pairs 'q30' to 'q39'\) .* ended its worker 3 times"):
        reader(Piece(batches[1], 4))
    reader.close()
