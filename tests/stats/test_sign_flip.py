"""The test that flips whole clusters: exact, McNemar's where pairs stand alone, of its size where they do not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.stats.paired import mcnemar_exact
from vsil_audit.stats.sign_flip import NetChanges, sign_flip_p, weighted_sign_flip_p


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 30))
def test_of_pairs_that_stand_alone_it_is_mcnemars_exact_test(gained: int, lost: int, same: int) -> None:
    changes = np.array([1] * gained + [-1] * lost + [0] * same, dtype=np.int8)
    assert sign_flip_p(changes, np.arange(len(changes))) == pytest.approx(mcnemar_exact(gained, lost), rel=1e-9)


def enumerated(parts: list[NetChanges], weights: list[float]) -> float:
    ways = product(*(product((-1, 1), repeat=len(part.sizes)) for part in parts))
    signed = [
        sum(w * float(np.dot(signs, part.sizes)) for part, w, signs in zip(parts, weights, way, strict=True))
        for way in ways
    ]
    seen = abs(sum(w * part.total for part, w in zip(parts, weights, strict=True)))
    return float((np.abs(signed) >= seen - 1e-9).mean())


@given(
    st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 5)), min_size=1, max_size=25),
    st.lists(st.integers(-1, 1), min_size=1, max_size=5),
)
def test_it_counts_every_way_to_sign_the_clusters(pairs: list[tuple[int, int]], others: list[int]) -> None:
    first = NetChanges.of(np.array([c for c, _ in pairs]), [g for _, g in pairs])
    second = NetChanges.of(np.array(others), np.arange(len(others)))
    assert weighted_sign_flip_p([first], [1.0]) == pytest.approx(enumerated([first], [1.0]))
    weights = [1 / len(pairs), 1 / len(others)]
    assert weighted_sign_flip_p([first, second], weights) == pytest.approx(enumerated([first, second], weights))


def test_a_cluster_is_one_piece_of_evidence_however_large() -> None:
    assert sign_flip_p(np.ones(50, dtype=np.int8), np.zeros(50)) == 1.0
    assert sign_flip_p(np.ones(50, dtype=np.int8), np.arange(50) // 10) == pytest.approx(2 / 2**5)
    assert sign_flip_p(np.ones(50, dtype=np.int8), np.arange(50)) < 1e-14


def test_nothing_changed_is_no_evidence() -> None:
    assert sign_flip_p(np.zeros(10, dtype=np.int8), np.arange(10)) == 1.0
    assert sign_flip_p(np.empty(0, dtype=np.int8), np.empty(0)) == 1.0


def test_many_changes_take_the_normal_limit_smoothly() -> None:
    def p(n: int) -> float:
        ups = n // 2 + round(np.sqrt(n))
        return sign_flip_p(np.array([1] * ups + [-1] * (n - ups)), np.arange(n))

    assert p(30_000) == pytest.approx(p(19_900), rel=0.05)


def test_wrong_arguments_are_refused() -> None:
    part = NetChanges.of(np.array([1]), [0])
    with pytest.raises(ValueError, match="weight above 0"):
        weighted_sign_flip_p([part], [0.0])
    with pytest.raises(ValueError, match="do not match"):
        NetChanges.of(np.array([1, 0]), [0])


@pytest.mark.parametrize("cluster", [1, 5])
def test_it_keeps_its_size_where_mcnemar_does_not(cluster: int) -> None:
    """Changes of a cluster go together; half of them one way, half the other."""
    generator = np.random.default_rng(3)
    groups = np.arange(200) // cluster
    ours = plain = 0
    for _ in range(500):
        way = np.where(generator.random(200 // cluster) < 0.5, 1, -1)[groups]
        changes = way * (generator.random(200) < 0.3)
        ours += sign_flip_p(changes, groups) <= 0.05
        plain += mcnemar_exact(int((changes > 0).sum()), int((changes < 0).sum())) <= 0.05
    assert ours / 500 <= 0.065
    assert (plain / 500 > 0.1) == (cluster > 1), "the reason why pairs are not flipped one by one"
