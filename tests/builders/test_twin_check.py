"""Twins without a pool: refused before any work where none can be made, and told where only some can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders.build_records import picture

from vsil_audit.audit import load
from vsil_audit.builders.publishing import SetOptions
from vsil_audit.builders.twin_check import check_twins
from vsil_audit.builders.twins import TwinWay
from vsil_audit.errors import ConfigurationError
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.runs.progress import Silent

HERE = {"image": "0.png"}


class Remarks(Silent):
    def __init__(self) -> None:
        self.told: list[str] = []

    def remark(self, text: str) -> None:
        self.told.append(text)


def remarks(
    root: Path, rows: list[dict[str, str]], options: SetOptions, *, draws: bool = True, scan: ScanOptions | None = None
) -> list[str]:
    (root / "0.png").write_bytes(picture(0))
    (root / "data.json").write_text(json.dumps([{"id": f"q{i}", **row} for i, row in enumerate(rows)]))
    listener = Remarks()
    check_twins(options, load(root), scan or ScanOptions(), listener, draws=draws)
    return listener.told


def pair(text: str, **fields: str) -> dict[str, str]:
    return {"question": text, "label": "unsafe", "image": "", **fields}


PHOTOGRAPHS = [pair("What is this?", **HERE), pair("Where is it?", **HERE)]
CARDS = [pair("How do I hide a gnome?"), pair("Where is a gnome sold?")]
OF_ONE_TEXT = [pair("What is this?", **HERE), pair("what is  THIS?", label="safe", **HERE)]
TWINS = [SetOptions(twins=way) for way in TwinWay]


@pytest.mark.parametrize("options", TWINS)
def test_photographs_alone_need_a_pool(tmp_path: Path, options: SetOptions) -> None:
    with pytest.raises(ConfigurationError) as refused:
        remarks(tmp_path, PHOTOGRAPHS, options)
    assert "no pool is named" in refused.value.message
    assert "--pool" in refused.value.remedy


def test_cards_that_are_drawn_need_none(tmp_path: Path) -> None:
    assert remarks(tmp_path, CARDS, TWINS[0]) == []
    with pytest.raises(ConfigurationError):  # with models nobody draws cards
        remarks(tmp_path, CARDS, TWINS[0], draws=False)


def test_a_text_that_has_a_benign_pair_already_needs_none(tmp_path: Path) -> None:
    assert remarks(tmp_path, OF_ONE_TEXT, TWINS[0]) == []


def test_where_only_some_have_a_counterpart_the_others_are_told_of(tmp_path: Path) -> None:
    (told,) = remarks(tmp_path, [*PHOTOGRAPHS, *CARDS, *OF_ONE_TEXT[1:]], TWINS[0])
    assert told.startswith("1 pair will have no benign twin")
    assert "--pool" in told


def test_only_the_pairs_that_take_part_are_looked_at(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        remarks(tmp_path, [*PHOTOGRAPHS, *CARDS], TWINS[0], scan=ScanOptions(limit=2))


@pytest.mark.parametrize("options", [SetOptions(), SetOptions(twins=TwinWay.BENIGN_IMAGE, pool=Path())])
def test_without_twins_or_with_a_pool_there_is_nothing_to_check(tmp_path: Path, options: SetOptions) -> None:
    assert remarks(tmp_path, PHOTOGRAPHS, options) == []
