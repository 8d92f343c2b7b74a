"""The simulation behind the intervals and tests of an evaluation, in small; `benchmarks/evaluation_coverage.py` runs it
in full."""

from __future__ import annotations

from types import ModuleType

import pytest
from benchmark_scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("evaluation_coverage")


@pytest.mark.parametrize("place", [1, 2])
def test_intervals_of_known_policies_cover_them(script: ModuleType, place: int) -> None:
    """100 simulations: a cell of 95 % falls below 88 % once in a thousand times."""
    design = script.designs()[place]
    found = script.coverage(design, 100, 0)
    assert len(found) == 39
    assert min(found.values()) >= 0.88
    assert sum(found.values()) / len(found) >= 0.94


def test_paired_tests_keep_their_size_in_clusters_where_mcnemars_does_not(script: ModuleType) -> None:
    design = script.designs()[4]
    size = script.size(design, script.POLICIES["pair"], 100, 0)
    assert size.ours <= 0.11
    assert size.any_of_15 <= 0.11
    assert size.mcnemar > 0.12, "else the design does not test what it is for"


def test_all_true_ranks_lie_inside_together(script: ModuleType) -> None:
    inside, width = script.ranks(script.designs()[1], 60, 0)
    assert inside >= 0.9
    assert width < 4, "and the intervals say something"
