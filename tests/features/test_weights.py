"""Which weights a file holds: hashed once, and again when it changes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vsil_audit.features.weights import note_of_digests, weights_digest


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"one")
    first = weights_digest(file)
    assert first == hashlib.sha256(b"one").hexdigest()
    note = note_of_digests()
    note.write_text(note.read_text().replace(first, "f" * 64))
    assert weights_digest(file) == "f" * 64, "the second time it is not read"
    file.write_bytes(b"another")
    assert weights_digest(file) == hashlib.sha256(b"another").hexdigest()


@pytest.mark.parametrize("rubbish", [b"", b"[1]", b"\xff", b'{"x": 3}'])
def test_a_damaged_note_of_digests_is_no_matter(tmp_path: Path, rubbish: bytes) -> None:
    note_of_digests().parent.mkdir(parents=True, exist_ok=True)
    note_of_digests().write_bytes(rubbish)
    (tmp_path / "w").write_bytes(b"one")
    assert weights_digest(tmp_path / "w") == hashlib.sha256(b"one").hexdigest()
