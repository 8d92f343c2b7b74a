"""Vectors of several things, some of which have several or none."""

from __future__ import annotations

import numpy as np
import pytest

from vsil_audit.features.embeddings.rows import Rows


def test_each_thing_has_its_own_rows_in_order() -> None:
    rows = Rows.joined([np.ones((2, 3)), np.zeros((0, 3)), np.full((1, 3), 0.5)], 3)
    assert len(rows) == 3
    assert rows.counts().tolist() == [2, 0, 1]
    assert rows.of(0).tolist() == [[1.0] * 3] * 2
    assert rows.of(1).shape == (0, 3)
    assert rows.of(2).tolist() == [[0.5] * 3]


def test_vectors_are_rounded_as_the_store_keeps_them() -> None:
    third = np.array([[1 / 3]])
    rounded = Rows.joined([third], 1).vectors
    assert rounded.dtype == np.float32
    assert rounded[0, 0] == np.float32(np.float16(1 / 3))
    assert rounded[0, 0] != np.float32(1 / 3)


@pytest.mark.parametrize("width", [0, 4])
def test_nothing_and_things_without_rows_are_rows_too(width: int) -> None:
    assert len(Rows.joined([], width)) == 0
    none = Rows.joined([np.zeros((0, width))] * 2, width)
    assert none.counts().tolist() == [0, 0]
    assert none.vectors.shape == (0, width)
