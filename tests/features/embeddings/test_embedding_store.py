"""Embeddings kept by content: found by every later run, whatever happens to the disk or to other processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vsil_audit.features.embeddings import merging, space
from vsil_audit.features.embeddings.segment import SUFFIX, UNFINISHED
from vsil_audit.features.embeddings.store import EmbeddingStore

WIDTH = 4
POSIX = pytest.mark.skipif(os.name != "posix", reason="of POSIX")


def digest(of: object) -> str:
    return sha256(str(of).encode()).hexdigest()


def vectors(seed: int, rows: int = 1, width: int = WIDTH) -> npt.NDArray[np.float16]:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float16)


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"*{SUFFIX}"))


def fill(folder: Path, numbers: range, rows: int = 1) -> None:
    """One segment with a vector for each number."""
    with EmbeddingStore(folder) as store:
        for i in numbers:
            store.space("m").put(digest(i), vectors(i, rows))


def holds(store: EmbeddingStore, numbers: range, rows: int = 1) -> bool:
    got = store.space("m").get([digest(i) for i in numbers])
    return all(np.array_equal(got.of(k), vectors(i, rows)) for k, i in enumerate(numbers))


# keeping


def test_what_is_put_is_there_at_once_and_in_the_next_run(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store:
        model = store.space("a model")
        assert model.width == 0
        assert model.get([digest(1)]).counts().tolist() == [0]
        model.put(digest(1), vectors(1, rows=3))
        model.put(digest(2), vectors(2))
        got = model.get([digest(2), digest("none"), digest(1), digest(2)])
        assert got.counts().tolist() == [1, 0, 3, 1]
        assert np.array_equal(got.of(2), vectors(1, rows=3))
        assert model.width == WIDTH
    with EmbeddingStore(tmp_path) as store:
        assert store.space("a model").width == WIDTH
        again = store.space("a model").get([digest(2), digest("none"), digest(1), digest(2)])
        assert np.array_equal(again.vectors, got.vectors)
        assert again.starts.tolist() == got.starts.tolist()
        assert store.warnings == ()
        assert store.size_bytes > 0


def test_a_new_vector_equals_the_kept_one(tmp_path: Path) -> None:
    exact = np.array([[1 / 3, 0.1, 0.2, 0.9]], dtype=np.float32)
    with EmbeddingStore(tmp_path) as store:
        store.space("m").put(digest(1), exact)
        new = store.space("m").get([digest(1)]).vectors
    with EmbeddingStore(tmp_path) as store:
        assert np.array_equal(store.space("m").get([digest(1)]).vectors, new)


def test_spaces_do_not_mix(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store:
        store.space("one").put(digest(1), vectors(1))
        store.space("two").put(digest(1), vectors(2, width=6))
    with EmbeddingStore(tmp_path) as store:
        assert np.array_equal(store.space("one").get([digest(1)]).vectors, vectors(1))
        assert np.array_equal(store.space("two").get([digest(1)]).vectors, vectors(2, width=6))
        assert store.space("three").get([digest(1)]).counts().tolist() == [0]
        assert [(kept.name, kept.width, kept.rows) for kept in store.kept()] == [("one", 4, 1), ("two", 6, 1)]


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path / "cache") as store:
        store.space("m").get([digest(1)])
    assert not (tmp_path / "cache").exists()


def test_much_is_written_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_WAITING_VECTORS", 10)
    with EmbeddingStore(tmp_path) as store, EmbeddingStore(tmp_path) as other:
        for i in range(25):
            store.space("m").put(digest(i), vectors(i))
        assert len(segments(tmp_path)) == 2
        assert holds(store, range(25))
        assert holds(other, range(20))
        assert not holds(other, range(20, 25))


def test_what_was_written_is_found_where_a_folder_keeps_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "_changed_at", lambda _: 1)
    with EmbeddingStore(tmp_path) as store:
        for i in range(3):
            store.space("m").put(digest(i), vectors(i))
            store.space("m").flush()
            assert holds(store, range(i + 1))


def test_what_is_kept_is_not_written_again(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    before = segments(tmp_path)
    fill(tmp_path, range(10))
    assert segments(tmp_path) == before


def test_clearing_forgets_all_vectors_and_nothing_else(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store:
        for name in ("one", "two"):
            store.space(name).put(digest(1), vectors(1, rows=2))
    (tmp_path / "letters").mkdir()
    mine = (tmp_path / "letters" / "mine.txt", segments(tmp_path)[0].parent / "mine.txt")
    for path in mine:
        path.write_text("not an embedding")
    assert EmbeddingStore(tmp_path).clear() == 4
    assert EmbeddingStore(tmp_path).kept() == ()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(mine)


def test_the_folder_is_beside_the_feature_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(tmp_path / "mine"))
    assert EmbeddingStore().folder == tmp_path / "mine" / "embeddings"


@pytest.mark.parametrize("shape", [(4,), (1, 0), (2, 2, 2)])
def test_what_has_not_the_shape_of_vectors_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with EmbeddingStore(tmp_path) as store, pytest.raises(ValueError, match="rows of a vector each"):
        store.space("m").put(digest(1), np.zeros(shape))


def test_one_model_has_vectors_of_one_width(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store:
        store.space("m").put(digest(1), vectors(1))
        with pytest.raises(ValueError, match="6 numbers among those of 4"):
            store.space("m").put(digest(2), vectors(2, width=6))
        assert holds(store, range(1, 2))


def test_vectors_that_are_no_numbers_are_not_kept(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store:
        store.space("m").put(digest(1), np.array([[np.nan, 0, 0, 1]]))
        store.space("m").put(digest(2), np.zeros((0, WIDTH)))
        assert store.space("m").get([digest(1), digest(2)]).counts().tolist() == [0, 0]


# merging


@POSIX
def test_many_segments_become_few_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsil_audit.features.embeddings.segment.BLOCK_BYTES", 200)  # many blocks in a segment
    monkeypatch.setattr(merging, "BLOCK_BYTES", 200)
    for i in range(30):
        fill(tmp_path, range(i * 40, i * 40 + 50), rows=1 + (i == 7))  # overlapping; some of another number of rows
    assert len(segments(tmp_path)) < 8
    with EmbeddingStore(tmp_path) as store:
        got = store.space("m").get([digest(i) for i in range(1210)])
        assert set(got.counts().tolist()) == {1, 2}  # either's rows, never both
        assert all(any(np.array_equal(got.of(i), vectors(i, rows)) for rows in (1, 2)) for i in range(1210))
        assert store.kept()[0].rows == len(got.vectors)
        assert store.warnings == ()


@POSIX
def test_a_reader_survives_a_merge_by_another_process(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    with EmbeddingStore(tmp_path) as reader:
        assert holds(reader, range(10))
        names = segments(tmp_path)
        for i in range(1, 9):
            fill(tmp_path, range(i * 10, i * 10 + 10))
        assert not names[0].exists()
        assert holds(reader, range(90))
        assert reader.warnings == ()


@POSIX
def test_two_processes_that_keep_the_same_never_double_it(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as one, EmbeddingStore(tmp_path) as other:
        one.space("m").put(digest(1), vectors(1, rows=2))
        other.space("m").put(digest(1), vectors(2, rows=3))
        monkey = other.space("m")
        monkey._find = lambda digests, segments: {}  # type: ignore[method-assign] # both looked before either wrote
        one.space("m").flush()
        monkey.flush()
    assert len(segments(tmp_path)) == 2
    with EmbeddingStore(tmp_path) as store:
        assert store.space("m").get([digest(1)]).counts().tolist() in ([2], [3])
    for i in range(2, 12):
        fill(tmp_path, range(i, i + 1))
    with EmbeddingStore(tmp_path) as store:
        assert store.space("m").get([digest(1)]).counts().tolist() in ([2], [3])


@POSIX
def test_remains_of_killed_writers_are_removed_in_time(tmp_path: Path) -> None:
    fill(tmp_path, range(1))
    folder = segments(tmp_path)[0].parent
    old, new = folder / f"old{UNFINISHED}", folder / f"new{UNFINISHED}"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 10_000,) * 2)
    for i in range(1, 9):
        fill(tmp_path, range(i, i + 1))
    assert not old.exists()
    assert new.exists()


# a bad disk


@pytest.mark.parametrize("damage", ["cut", "empty", "zeros", "other"])
def test_a_damaged_segment_is_set_aside_and_the_rest_is_kept(tmp_path: Path, damage: str) -> None:
    fill(tmp_path, range(10))
    fill(tmp_path, range(10, 20))
    bad = segments(tmp_path)[0]
    content = bad.read_bytes()
    bad.write_bytes(
        {"cut": content[:-100], "empty": b"", "zeros": bytes(len(content)), "other": b"PAR1" + content}[damage]
    )
    with EmbeddingStore(tmp_path) as store:
        assert store.space("m").get([digest(i) for i in range(10)]).counts().tolist() == [0] * 10
        assert holds(store, range(10, 20))
        (warning,) = store.warnings
        assert "damaged" in warning
        assert not bad.exists()
    fill(tmp_path, range(10))
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(20))
        assert store.warnings == ()


def test_a_changed_bit_is_found_and_what_it_hit_is_computed_again(tmp_path: Path) -> None:
    fill(tmp_path, range(100), rows=2)
    path = segments(tmp_path)[0]
    content = bytearray(path.read_bytes())
    at = content.index(vectors(50, rows=2).tobytes())
    content[at + 3] ^= 4
    path.write_bytes(content)
    with EmbeddingStore(tmp_path) as store:
        counts = store.space("m").get([digest(i) for i in range(100)]).counts()
        assert np.flatnonzero(counts == 0).tolist() == [50]
        assert len(store.warnings) == 1
        store.space("m").put(digest(50), vectors(50, rows=2))
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(100), rows=2)
        assert store.warnings == ()


@settings(max_examples=150)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3))
def test_whatever_was_changed_in_a_segment_what_is_found_is_right(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, int]]
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    fill(folder, range(8))
    path = segments(folder)[0]
    content = bytearray(path.read_bytes())
    for where, what in changes:
        content[int(where * len(content))] ^= what
    path.write_bytes(content)
    with EmbeddingStore(folder) as store:
        got = store.space("m").get([digest(i) for i in range(8)])
        assert all(not len(got.of(i)) or np.array_equal(got.of(i), vectors(i)) for i in range(8))


@POSIX
def test_a_merge_does_not_carry_damage_on(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    path = segments(tmp_path)[0]
    content = bytearray(path.read_bytes())
    content[content.index(vectors(5).tobytes())] ^= 1
    path.write_bytes(content)
    for i in range(10, 20):
        fill(tmp_path, range(i, i + 1))
    assert not path.exists()
    with EmbeddingStore(tmp_path) as store:
        counts = store.space("m").get([digest(i) for i in range(20)]).counts()
        assert np.flatnonzero(counts == 0).tolist() == [5]
        assert store.warnings == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"space": "m"}', '{"space": "m", "width": -1}', "\x00"])
def test_a_damaged_description_costs_nothing(tmp_path: Path, text: str) -> None:
    fill(tmp_path, range(5))
    description = next(tmp_path.rglob("space.json"))
    description.write_text(text)
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(5))
        assert "written again" in store.warnings[0]
        store.space("m").put(digest(5), vectors(5))
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(6))
        assert store.warnings == ()


def test_a_folder_of_another_space_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    description = next(tmp_path.rglob("space.json"))
    description.write_text(description.read_text().replace('"m"', '"n"'))
    with EmbeddingStore(tmp_path) as store:
        assert store.space("m").get([digest(1)]).counts().tolist() == [0]
        store.space("m").put(digest(1), vectors(8))
        assert "belongs to" in store.warnings[0]
    assert len(segments(tmp_path)) == 1


def test_vectors_of_another_width_than_the_kept_ones_stay_in_memory(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    with EmbeddingStore(tmp_path) as store:
        store.space("m").put(digest(1), vectors(1, width=6))
        got = store.space("m").get([digest(1), digest(2)])
        assert got.counts().tolist() == [1, 0]
        assert np.array_equal(got.vectors, vectors(1, width=6))
        assert "6" in store.warnings[0]
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(5))


def test_a_folder_that_cannot_be_used_means_memory_and_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with EmbeddingStore(tmp_path / "file" / "embeddings") as store:
        fill_here = store.space("m")
        for i in range(10):
            fill_here.put(digest(i), vectors(i))
        fill_here.flush()
        assert holds(store, range(10))
        assert not fill_here.persistent
        assert len(store.warnings) == 1
        assert store.size_bytes == 0


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_still_looked_up(tmp_path: Path) -> None:
    fill(tmp_path, range(5))
    folder = segments(tmp_path)[0].parent
    folder.chmod(0o555)
    try:
        with EmbeddingStore(tmp_path) as store:
            store.space("m").put(digest(5), vectors(5))
            store.space("m").flush()
            assert len(store.warnings) == 1
            assert holds(store, range(6))
    finally:
        folder.chmod(0o755)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_embedding_store import EmbeddingStore, digest, holds, vectors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
with EmbeddingStore(Path(sys.argv[1])) as store:
    for i in range(10, 1000):
        store.space("m").put(digest(i), vectors(i))
    store.space("m").flush()
    assert len(store.warnings) == 1, store.warnings
    assert holds(store, range(1000))
"""


@POSIX
def test_a_disk_that_fills_up_means_memory_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path), str(Path(__file__).parent)], check=True)
    assert len(segments(tmp_path)) == 1
    assert not list(tmp_path.rglob(f"*{UNFINISHED}"))
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(10))


def test_memory_without_a_disk_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with EmbeddingStore(tmp_path / "file") as store:
        big = np.ones((1000, 500))  # a million bytes
        for i in range(100):
            store.space("m").put(digest(i), big)
        counts = store.space("m").get([digest(0), digest(99)]).counts()
        assert counts.tolist() == [0, 1000]


def test_a_cleared_folder_is_begun_again(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store:
        store.space("m").put(digest(1), vectors(1))
        store.space("m").flush()
        shutil.rmtree(tmp_path)
        store.space("m").put(digest(2), vectors(2))
    with EmbeddingStore(tmp_path) as store:
        assert holds(store, range(2, 3))
        assert [kept.name for kept in store.kept()] == ["m"]


# many at once


def test_threads_share_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_WAITING_VECTORS", 20)
    failed: list[BaseException] = []
    with EmbeddingStore(tmp_path) as store:

        def work(number: int) -> None:
            try:
                for i in range(number * 100, number * 100 + 100):
                    store.space("m").put(digest(i), vectors(i))
                    assert holds(store, range(number * 100, i + 1))
            except BaseException as error:  # noqa: BLE001 - told below
                failed.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failed
        assert holds(store, range(400))


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_embedding_store import EmbeddingStore, digest, space, vectors
space._WAITING_VECTORS = 25
first, last = int(sys.argv[3]), int(sys.argv[4])
with EmbeddingStore(Path(sys.argv[1])) as store:
    model = store.space("m")
    for i in range(first, last):
        model.put(digest(i), vectors(i, rows=1 + i % 3))
        if not len(model._waiting):
            print(i, flush=True)
        got = model.get([digest(max(first, i - 60)), digest(i)])
        assert got.counts().tolist() == [1 + max(first, i - 60) % 3, 1 + i % 3], (i, got.counts(), store.warnings)
    assert not store.warnings, store.warnings
"""


def writer(folder: Path, first: int, last: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder), str(Path(__file__).parent), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def check_written(folder: Path, numbers: range) -> None:
    with EmbeddingStore(folder) as store:
        got = store.space("m").get([digest(i) for i in numbers])
        for k, i in enumerate(numbers):
            assert np.array_equal(got.of(k), vectors(i, rows=1 + i % 3))
        assert store.warnings == ()


@POSIX
def test_processes_write_read_and_merge_at_once(tmp_path: Path) -> None:
    writers = [writer(tmp_path, first, first + 1000) for first in (0, 500, 1000, 1000)]  # overlapping
    for process in writers:
        process.communicate()
    assert [process.returncode for process in writers] == [0, 0, 0, 0]
    check_written(tmp_path, range(2000))
    assert len(segments(tmp_path)) < 40


@POSIX
def test_kill_9_loses_at_most_what_was_waiting(tmp_path: Path) -> None:
    for attempt, delay in enumerate((0.0, 0.02, 0.1, 0.25)):
        first = attempt * 1_000_000
        process = writer(tmp_path, first, first + 1_000_000)
        assert process.stdout is not None
        said = process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
        written = int(said.split(b"\n")[-2])
        check_written(tmp_path, range(first, written + 1))


# against a model


class StoreAgainstDict(RuleBasedStateMachine):
    """Two stores on one folder, in any order of puts, flushes, reopenings and merges, beside a dict."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = Path(tempfile.mkdtemp())
        self.stores = [EmbeddingStore(self.folder), EmbeddingStore(self.folder)]
        self.put_by: list[dict[int, list[int]]] = [{}, {}]
        self.written: dict[int, list[int]] = {}

    @rule(which=st.integers(0, 1), key=st.integers(0, 30), rows=st.integers(0, 3))
    def put(self, which: int, key: int, rows: int) -> None:
        self.stores[which].space("m").put(digest(key), vectors(key + 100 * rows, rows))
        if rows:
            self.put_by[which].setdefault(key, []).append(rows)

    @rule(which=st.integers(0, 1))
    def flush(self, which: int) -> None:
        self.stores[which].space("m").flush()
        self.now_written(which)

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.stores[which].close()
        self.stores[which] = EmbeddingStore(self.folder)
        self.now_written(which)

    def now_written(self, which: int) -> None:
        for key, rows in self.put_by[which].items():
            self.written.setdefault(key, []).extend(rows)
        self.put_by[which].clear()

    @rule(first=st.integers(0, 25), number=st.integers(1, 9))
    def others_write_until_a_merge(self, first: int, number: int) -> None:
        for key in range(first, first + number):
            with EmbeddingStore(self.folder) as store:
                store.space("m").put(digest(key), vectors(key + 100, 1))
            self.written.setdefault(key, []).append(1)

    @invariant()
    def what_was_put_is_found_and_nothing_else(self) -> None:
        for which, store in enumerate(self.stores):
            got = store.space("m").get([digest(key) for key in range(40)])
            for key in range(40):
                known = [*self.written.get(key, []), *self.put_by[which].get(key, [])]
                rows = int(got.counts()[key])
                assert rows in known if known else rows == 0
                assert np.array_equal(got.of(key), vectors(key + 100 * rows, rows)) or not rows
            assert store.warnings == ()

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)


StoreAgainstDict.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
test_any_order_of_doings_is_as_a_dict = StoreAgainstDict.TestCase
