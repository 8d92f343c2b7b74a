"""A build's folder: held by one build at a time, and never one that holds other things."""

from __future__ import annotations

from pathlib import Path

import pytest
from gnome_set import write_gnomes

from vsil_audit.builders.convert import convert_offline
from vsil_audit.builders.draft import Draft
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.record import Fate, Record
from vsil_audit.errors import ConfigurationError, RunFolderError


def test_one_build_at_a_time(tmp_path: Path) -> None:
    gnomes = write_gnomes(tmp_path / "gnomes", 8)
    with (
        BuildFolder(tmp_path / "out").locked(),
        pytest.raises(RunFolderError, match="another build is writing to"),
    ):
        convert_offline(gnomes, tmp_path / "out")


def test_a_folder_with_other_things_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    gnomes = write_gnomes(tmp_path / "gnomes", 8)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "diary.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds no build"):
        convert_offline(gnomes, tmp_path / "out")
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["diary.txt"]


def test_records_come_in_the_order_of_their_batches(tmp_path: Path) -> None:
    """Beyond a hundred thousand of them too, where names grow longer."""
    folder = BuildFolder(tmp_path)
    for number in (100_000, 7, 99_999, 100_001):
        folder.write_records(number, [Record(Draft(str(number), "Where is it?"), Fate.KEPT)])
    assert [record.draft.id for record in folder.records()] == ["7", "99999", "100000", "100001"]
