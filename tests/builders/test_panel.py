"""Judges of a gate: one that failed is never a vote, for or against."""

from __future__ import annotations

import pytest

from vsil_audit.builders.gates.base import Vote
from vsil_audit.builders.gates.panel import FAILED, PASS, REJECT, Rule, decided


def votes(text: str) -> list[Vote]:
    return [Vote(f"judge {i}", {"p": PASS, "r": REJECT, "f": FAILED}[letter]) for i, letter in enumerate(text)]


@pytest.mark.parametrize(
    ("said", "unanimous", "majority"),
    [
        ("ppp", True, True),
        ("ppr", False, True),
        ("prr", False, False),
        ("rrr", False, False),
        ("ppf", None, True),
        ("pff", None, None),
        ("prf", False, None),
        ("rrf", False, False),
        ("fff", None, None),
        ("pr", False, False),
        ("pf", None, None),
        ("p", True, True),
        ("f", None, None),
        ("", None, None),
    ],
)
def test_the_rules(said: str, unanimous: bool | None, majority: bool | None) -> None:
    assert decided(votes(said), Rule.UNANIMOUS) is unanimous
    assert decided(votes(said), Rule.MAJORITY) is majority
