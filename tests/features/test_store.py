"""The feature store: kept between runs and processes, and never the reason that a scan fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.features.store import FeatureStore, default_store_path

KEY = ("d" * 64, "pixels", "1")


def kept(store: FeatureStore, digest: str, feature: str, version: str) -> bytes | None:
    return store.get([digest], feature, version).get(digest)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "features.sqlite"


def test_what_is_put_is_there_at_once_and_in_the_next_run(path: Path) -> None:
    with FeatureStore(path) as store:
        assert kept(store, *KEY) is None
        store.put(*KEY, b"\x00value")
        assert kept(store, *KEY) == b"\x00value"
    with FeatureStore(path) as store:
        assert kept(store, *KEY) == b"\x00value"
        assert store.warnings == ()
        assert store.persistent
        assert store.size_bytes > 0


def test_digest_feature_and_version_are_all_part_of_the_key(path: Path) -> None:
    with FeatureStore(path) as store:
        store.put(*KEY, b"one")
        for other in (("e" * 64, *KEY[1:]), (KEY[0], "text", "1"), (*KEY[:2], "2")):
            assert kept(store, *other) is None


def test_a_later_value_replaces_an_earlier(path: Path) -> None:
    with FeatureStore(path) as store:
        store.put(*KEY, b"one")
        store.flush()
        store.put(*KEY, b"two")
        assert kept(store, *KEY) == b"two"
    with FeatureStore(path) as store:
        assert kept(store, *KEY) == b"two"


@given(st.dictionaries(st.tuples(st.text(min_size=1), st.text(), st.text()), st.binary(), max_size=20))
def test_any_keys_and_values_come_back(tmp_path_factory: pytest.TempPathFactory, values: dict) -> None:
    path = tmp_path_factory.mktemp("any") / "features.sqlite"
    values = {k: v for k, v in values.items() if not any("\ud800" <= c <= "\udfff" for part in k for c in part)}
    with FeatureStore(path) as store:
        for key, value in values.items():
            store.put(*key, value)
    with FeatureStore(path) as store:
        assert {key: kept(store, *key) for key in values} == values


def test_two_stores_on_one_file_see_each_other(path: Path) -> None:
    with FeatureStore(path) as one, FeatureStore(path) as other:
        one.put(*KEY, b"shared")
        one.flush()
        assert kept(other, *KEY) == b"shared"


def test_threads_share_a_store(path: Path) -> None:
    with FeatureStore(path) as store:

        def work(number: int) -> None:
            for i in range(200):
                store.put(f"{number}-{i}", "f", "1", bytes([number, i]))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with FeatureStore(path) as store:
        assert all(kept(store, f"{n}-{i}", "f", "1") == bytes([n, i]) for n in range(4) for i in range(200))


def test_writes_are_batched_but_reads_see_them(path: Path) -> None:
    with FeatureStore(path) as store, FeatureStore(path) as other:
        store.put(*KEY, b"waiting")
        assert kept(store, *KEY) == b"waiting"
        assert kept(other, *KEY) is None
        for i in range(100):
            store.put(str(i), "f", "1", b"x")
        assert kept(other, *KEY) == b"waiting"


@pytest.mark.parametrize("damage", [b"this is no database", b"", bytes(range(256)) * 32])
def test_a_file_that_is_no_database_is_moved_aside(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    with FeatureStore(path) as store:
        store.put(*KEY, b"new")
        if damage:
            (warning,) = store.warnings
            assert "damaged" in warning
            (aside,) = path.parent.glob("*.damaged-*")
            assert aside.read_bytes() == damage
    with FeatureStore(path) as store:
        assert kept(store, *KEY) == b"new"
        assert store.warnings == ()


def test_a_database_damaged_inside_is_replaced_when_it_is_met(path: Path) -> None:
    with FeatureStore(path) as store:
        for i in range(2000):
            store.put(f"{i:064d}", "f", "1", os.urandom(300))
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = b"\xab" * (len(content) - 4096 * 2)
    path.write_bytes(content)
    with FeatureStore(path) as store:
        for i in range(0, 2000, 50):
            kept(store, f"{i:064d}", "f", "1")
        store.put(*KEY, b"new")
        assert any("damaged" in warning for warning in store.warnings)
    with FeatureStore(path) as store:
        assert kept(store, *KEY) == b"new"
        assert store.warnings == ()


def test_a_value_changed_on_disk_is_not_believed(path: Path) -> None:
    with FeatureStore(path) as store:
        store.put(*KEY, b"right")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE features SET value = substr(value, 1, 4) || 'wrong'")
    connection.close()
    with FeatureStore(path) as store:
        assert kept(store, *KEY) is None


def test_a_place_that_cannot_be_written_means_memory_and_is_said(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    with FeatureStore(blocker / "features.sqlite") as store:
        assert not store.persistent
        (warning,) = store.warnings
        assert "VSIL_AUDIT_CACHE" in warning
        store.put(*KEY, b"kept")
        assert kept(store, *KEY) == b"kept"
        assert store.size_bytes == 0


def test_a_disk_that_fills_up_means_memory_and_is_said(path: Path) -> None:
    with FeatureStore(path) as store:
        store.put(*KEY, b"before")
        store.flush()
        assert store._connection is not None
        store._connection.execute("PRAGMA max_page_count = 4")  # as a full disk: SQLITE_FULL
        for i in range(100):
            store.put(f"{i}", "f", "1", bytes(4000))
        store.flush()
        assert any("full" in warning for warning in store.warnings)
        assert not store.persistent
        assert kept(store, "5", "f", "1") == bytes(4000)
    with FeatureStore(path) as store:
        assert kept(store, *KEY) == b"before"


def test_memory_without_a_disk_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with FeatureStore(tmp_path / "file" / "features.sqlite") as store:
        for i in range(200):
            store.put(f"{i}", "f", "1", bytes(1_000_000))
        assert kept(store, "0", "f", "1") is None
        assert kept(store, "199", "f", "1") == bytes(1_000_000)


def test_the_environment_names_the_default_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(tmp_path / "mine"))
    assert default_store_path() == tmp_path / "mine" / "features.sqlite"
    monkeypatch.delenv("VSIL_AUDIT_CACHE")
    assert default_store_path().parts[-2:] == ("vsil-audit", "features.sqlite")


WRITER = """
import sys
from pathlib import Path
from vsil_audit.features.store import FeatureStore
store = FeatureStore(Path(sys.argv[1]))
i = 0
while True:
    store.put(f"{i}", "f", "1", str(i).encode() * 50)
    if i == 200:
        print("running", flush=True)
    i += 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of POSIX")
def test_kill_9_leaves_a_sound_store(path: Path) -> None:
    for delay in (0.0, 0.03, 0.1):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"running\n"
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with FeatureStore(path) as store:
            assert store.warnings == ()
            assert kept(store, "100", "f", "1") == b"100" * 50
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def test_many_are_asked_for_at_once(path: Path) -> None:
    digests = [f"{i:064x}" for i in range(40)]
    with FeatureStore(path) as store:
        for digest in digests[:20]:
            store.put(digest, "pixels", "1", digest.encode())
        store.flush()
        for digest in digests[20:30]:
            store.put(digest, "pixels", "1", digest.encode())  # waits to be written
        store.put(digests[35], "pixels", "2", b"of another version")
        wanted = {digest: digest.encode() for digest in digests[:30]}
        assert store.get(digests, "pixels", "1") == wanted
        assert store.get([], "pixels", "1") == {}
    assert store.get(digests, "pixels", "1") == {}  # closed: nothing is known any more, and nothing is raised
