"""Texts as vectors: each is encoded once, in this run or an earlier one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.features.embeddings.store import EmbeddingStore
from vsil_audit.features.embeddings.texts import KeptTexts, text_digest


class Encoder:
    """Vectors that tell the text's length, a window for every ten characters."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        self.batches.append(list(texts))
        return [np.full((1 + len(t) // 10, 3), len(t), np.float32) for t in texts]

    @property
    def encoded(self) -> list[str]:
        return [text for batch in self.batches for text in batch]


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


def test_each_text_has_its_windows_and_an_empty_one_none(tmp_path: Path, encoder: Encoder) -> None:
    with EmbeddingStore(tmp_path) as store:
        rows = KeptTexts(store.space("m"), encoder)(["a kite", "", "a teapot of clay", " \n", "a kite"])
    assert rows.counts().tolist() == [1, 0, 2, 0, 1]
    assert rows.of(2).tolist() == [[16.0] * 3] * 2
    assert encoder.encoded == ["a kite", "a teapot of clay"]


def test_nothing_is_encoded_twice_in_this_run_or_the_next(tmp_path: Path, encoder: Encoder) -> None:
    for _ in range(2):
        with EmbeddingStore(tmp_path) as store:
            texts = KeptTexts(store.space("m"), encoder)
            assert texts(["a kite"]).counts().tolist() == [1]
            assert texts(["a kite", "a gnome"]).counts().tolist() == [1, 1]
    assert encoder.encoded == ["a kite", "a gnome"]


def test_texts_are_encoded_in_batches_of_like_length(tmp_path: Path, encoder: Encoder) -> None:
    texts = ["x" * length for length in (90, 1, 50, 2, 91, 51)]
    with EmbeddingStore(tmp_path) as store:
        rows = KeptTexts(store.space("m"), encoder, batch=2)(texts)
    assert [[len(text) for text in batch] for batch in encoder.batches] == [[1, 2], [50, 51], [90, 91]]
    assert [rows.of(i)[0, 0] for i in range(6)] == [90, 1, 50, 2, 91, 51]


def test_threads_that_miss_the_same_text_encode_it_once(tmp_path: Path, encoder: Encoder) -> None:
    with EmbeddingStore(tmp_path) as store:
        texts = KeptTexts(store.space("m"), encoder)
        wanted = [f"a kite {i}" for i in range(50)]
        counts: list[int] = []
        threads = [threading.Thread(target=lambda: counts.append(int(texts(wanted).counts().sum()))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [50] * 8
    assert sorted(encoder.encoded) == sorted(wanted)


def test_a_model_that_cannot_be_loaded_is_told_and_what_was_kept_is_still_found(
    tmp_path: Path, encoder: Encoder
) -> None:
    def broken(texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        raise OSError("no weights")

    with EmbeddingStore(tmp_path) as store:
        KeptTexts(store.space("m"), encoder)(["a kite"])
        texts = KeptTexts(store.space("m"), broken)
        assert texts(["a kite", ""]).counts().tolist() == [1, 0]
        with pytest.raises(OSError, match="no weights"):
            texts(["a gnome"])


def test_without_a_disk_and_past_the_bound_of_memory_the_answer_is_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    big = np.ones((4000, 5000), np.float32)  # 40 MB each as they are kept
    with EmbeddingStore(tmp_path / "file") as store:
        rows = KeptTexts(store.space("m"), lambda texts: [big for _ in texts], batch=1)(["a", "bb", "ccc"])
    assert rows.counts().tolist() == [4000] * 3


@given(st.lists(st.text(), max_size=8))
def test_any_texts_are_told_apart(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    with EmbeddingStore(tmp_path_factory.mktemp("any")) as store:
        rows = KeptTexts(store.space("m"), Encoder())(texts)
        assert rows.counts().tolist() == [1 + len(t) // 10 if t.strip() else 0 for t in texts]


def test_invalid_unicode_has_a_digest_too() -> None:
    assert len({text_digest("\ud800"), text_digest("?"), text_digest("\ufffd")}) == 3
