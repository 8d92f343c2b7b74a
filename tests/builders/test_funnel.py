"""From pairs taken in to pairs in the set: whatever became of them, the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.summarise import summarise

LETTERS = ("E", "M", "A", "A'", "B", "C")

passing = st.lists(st.sampled_from(LETTERS), max_size=8).map(
    lambda letters: [GateResult(g, passed=True) for g in letters]
)
stopping = st.builds(GateResult, st.sampled_from(LETTERS), st.sampled_from([False, None]), st.just("why: so"))
given_up = st.tuples(passing, stopping).map(lambda found: (*found[0], found[1]))


@st.composite
def records(draw: st.DrawFn) -> Record:
    fate, gates = draw(st.sampled_from(Fate)), tuple(draw(passing))
    if fate is Fate.REJECTED or (fate is Fate.UNDECIDED and draw(st.booleans())):
        gates = (*gates, draw(stopping))
    reason = (
        "" if fate.emitted else draw(st.sampled_from(["no image", "a model failed: timeout", "a model failed: dead"]))
    )
    return Record(Draft("x", "?"), fate, gates, tuple(draw(st.lists(given_up, max_size=2))), reason)


@given(st.lists(records(), max_size=12))
def test_what_goes_in_less_what_is_stopped_comes_out(found: list[Record]) -> None:
    told = summarise(found, command="convert", name="gnomes", before=None, after=None)
    assert told.pairs - sum(told.stopped.values()) - sum(told.unfixed_reasons.values()) == told.emitted
    assert told.emitted == sum(record.fate.emitted for record in found)
    drafts = sum(1 + len(record.attempts) for record in found)
    for gate in told.gates:
        assert gate.seen == gate.passed + gate.rejected + gate.undecided <= drafts
        assert sum(gate.reasons.values()) == gate.rejected + gate.undecided >= told.stopped.get(f"gate {gate.gate}", 0)


@given(records())
def test_a_pair_that_is_withdrawn_after_the_last_scan_counts_once(record: Record) -> None:
    record = replace(record, fate=Fate.BUILT, gates=(GateResult("A'", passed=True),), attempts=())
    withdrawn = replace(
        record, fate=Fate.REJECTED, gates=(*record.gates, GateResult("A'", passed=False, reason="suspected"))
    )
    (gate,) = summarise([withdrawn], command="convert", name="gnomes", before=None, after=None).gates
    assert (gate.seen, gate.passed, gate.rejected) == (1, 0, 1)


def test_reasons_without_a_gate_are_told_by_what_they_have_in_common() -> None:
    reasons = ["a model failed: timeout", "a model failed: dead", "nobody looked"]
    found = [Record(Draft("x", "?"), Fate.UNDECIDED, reason=reason) for reason in reasons]
    told = summarise(found, command="convert", name="gnomes", before=None, after=None)
    assert Counter(told.stopped) == {"a model failed": 2, "nobody looked": 1}
