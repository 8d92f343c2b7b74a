"""Labels are kept one by one, with their history; what was answered survives any crash."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsil_audit.errors import ConfigurationError, RunFolderError
from vsil_audit.review.labels import IMPORTED, SAMPLE, Chosen, LabelStore, annotator_name, merged
from vsil_audit.review.order import order_for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "review.sqlite", "set") as store:
        store.choose([Chosen(f"p{i}", f"content {i}", "all") for i in range(5)])
        store.join("ann")
        yield store


def test_a_label_holds_until_another_takes_its_place(store: LabelStore) -> None:
    first = store.put("ann", 1, "text_harmful", "yes")
    second = store.put("ann", 1, "text_harmful", "no")
    assert store.sheet("ann") == {1: {"text_harmful": "no"}}
    assert [event for event, *_ in store.history()] == [first, second]


def test_the_same_label_sent_twice_is_one_act(store: LabelStore) -> None:
    assert store.put("ann", 1, "text_harmful", "yes") is not None
    assert store.put("ann", 1, "text_harmful", "yes") is None
    assert len(list(store.history())) == 1


def test_an_undone_act_stays_in_the_history(store: LabelStore) -> None:
    store.put("ann", 1, "text_harmful", "yes")
    event = store.put("ann", 1, "text_harmful", "no")
    assert event is not None
    undone = store.undo("ann", event)
    assert undone is not None
    assert (undone.item, undone.field) == (1, "text_harmful")
    assert store.sheet("ann") == {1: {"text_harmful": "yes"}}
    assert [(value, undoes) for *_, value, _, _, undoes in store.history()] == [("yes", None), ("no", None), ("yes", 2)]
    store.undo("ann", event)
    assert len(list(store.history())) == 3, "undone twice is undone once"


def test_one_cannot_undo_what_another_did_nor_what_was_imported(store: LabelStore) -> None:
    event = store.put("ann", 1, "text_harmful", "yes")
    imported = store.put("ann", 2, "text_harmful", "yes", IMPORTED)
    assert event is not None
    assert imported is not None
    store.join("bo")
    assert store.undo("bo", event) is None
    assert store.latest("bo") is None
    assert store.latest("ann") == event


Act = tuple[str, int, str, "str | None"]
ACTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.sampled_from("xy"), st.sampled_from(["yes", "no", None]))
    | st.sampled_from([("a", 0, "", None), ("b", 0, "", None)]),
    max_size=30,
)


@settings(max_examples=60)
@given(acts=ACTS)
def test_undo_leads_back_step_by_step(acts: list[Act], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Against a list of states per annotator; `(who, 0, …)` is undo."""
    with LabelStore(tmp_path_factory.mktemp("undo") / "review.sqlite", "set") as store:
        states: dict[str, list[dict[tuple[int, str], str]]] = {"a": [{}], "b": [{}]}
        for who, item, field, value in acts:
            if item == 0:
                event = store.latest(who)
                assert (event is None) == (len(states[who]) == 1)
                if event is not None:
                    store.undo(who, event)
                    states[who].pop()
            elif store.put(who, item, field, value) is not None:
                after = {key: held for key, held in states[who][-1].items() if key != (item, field)}
                states[who].append(after | ({(item, field): value} if value is not None else {}))
            held = {(i, f): v for i, fields in store.sheet(who).items() for f, v in fields.items()}
            assert held == states[who][-1]


KILLED = """
import os, signal, sys
from pathlib import Path
from vsil_audit.review.labels import Chosen, LabelStore
with LabelStore(Path(sys.argv[1]), "set") as store:
    store.choose([Chosen(f"p{i}", "", "all") for i in range(1, 200)])
    store.join("ann")
    for number in range(1, 200):
        store.put("ann", number, "text_harmful", "yes")
        print(number, flush=True)
        if number == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("last", [1, 57])
def test_after_a_kill_every_label_that_was_answered_is_there(tmp_path: Path, last: int) -> None:
    file = tmp_path / "review.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(file), str(last)], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == -signal.SIGKILL
    with LabelStore(file, "set") as store:
        assert sorted(store.sheet("ann")) == [int(line) for line in done.stdout.split()] == list(range(1, last + 1))


def test_a_changed_pairs_labels_hold_no_more(store: LabelStore) -> None:
    store.put("ann", 1, "text_harmful", "yes")
    store.put("ann", 2, "text_harmful", "yes")
    assert store.withdraw_changed({"p0": "content 0", "p1": "another text"}) == 1
    assert store.sheet("ann") == {1: {"text_harmful": "yes"}}
    assert store.withdraw_changed({"p0": "content 0", "p1": "another text"}) == 0
    assert len(list(store.history())) == 3


def test_a_pair_chosen_for_a_reason_and_then_at_random_counts_as_random(store: LabelStore) -> None:
    store.choose([Chosen("q", "", "only suspected", "suspected", 3.0)])
    assert store.choose([Chosen("q", "", SAMPLE), Chosen("r", "", SAMPLE)]) == 1
    assert {item.pair_id: item.chosen.origin for item in store.items()}["q"] == SAMPLE
    store.choose([Chosen("r", "", "only suspected", "suspected", 3.0)])
    assert {item.pair_id: item.chosen.origin for item in store.items()}["r"] == SAMPLE


def test_an_annotator_is_one_however_the_name_is_written(store: LabelStore) -> None:
    assert store.join(" ANN ") == "ann"
    assert store.join("Zoe\u0301") == store.join("zo\u00e9") == "Zo\u00e9"
    assert store.annotators() == ["ann", "Zo\u00e9"]


@pytest.mark.parametrize("name", ["", "  ", "n" * 61])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="annotator's name"):
        annotator_name(name)


def test_an_order_is_the_annotators_own_and_more_items_do_not_disturb_it(store: LabelStore) -> None:
    before = [item.number for item in order_for("ann", store.items(), 0)]
    assert before == [item.number for item in order_for("ann", store.items(), 0)]
    assert sorted(before) == [1, 2, 3, 4, 5]
    orders = {tuple(item.number for item in order_for(f"annotator {i}", store.items(), 0)) for i in range(10)}
    assert len(orders) > 5
    store.choose([Chosen(f"q{i}", "", "all") for i in range(4)])
    assert [item.number for item in order_for("ann", store.items(), 0)][:5] == before


def test_a_majority_is_more_than_half(store: LabelStore) -> None:
    said = [{"x": "yes"}, {"x": "no"}, {"x": "yes"}, {"y": "no"}]
    assert merged(said, "x") == "yes"
    assert merged(said[:2], "x") is None
    assert merged(said, "z") is None


def test_a_database_from_elsewhere_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "review.sqlite"
    with LabelStore(file, "set"):
        pass
    other = sqlite3.connect(file)
    other.execute("CREATE TRIGGER planted AFTER INSERT ON events BEGIN DELETE FROM events; END")
    other.commit()
    other.close()
    with pytest.raises(RunFolderError, match="other tables"):
        LabelStore(file, "set")
    (tmp_path / "text.sqlite").write_text("no database at all, " * 100)
    with pytest.raises(RunFolderError, match="does not hold labels"):
        LabelStore(tmp_path / "text.sqlite", "set")
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "text.sqlite")
    with pytest.raises(RunFolderError, match="not a file"):
        LabelStore(tmp_path / "link.sqlite", "set")
