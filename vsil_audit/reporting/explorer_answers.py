"""What models said of the explorer's pairs: every label and the start of every answer, as far as the page has room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vsil_audit.pair import Json
from vsil_audit.reporting.observed import Said, said_of
from vsil_audit.reporting.untrusted import cut, fold, one_line
from vsil_audit.runs.folder import RunFolder

ANSWER_BYTES = 2 << 20
MOST_PAIRS = 2_000
_FEW_PAIRS = 300
_LONG, _SHORT = 800, 240


@dataclass(frozen=True, slots=True)
class Answers:
    """`data` goes into the page: `asked` names detector, model, condition and variant, `labels` what was said, and
    `pairs` holds for a pair's position its rows of asked, sample, label, probability in words, cut short, answer.
    `bytes` is its size as JSON; of `left_out` pairs, the least suspicious, the page holds no answer."""

    data: dict[str, Json]
    bytes: int
    left_out: int


def answers(
    run: RunFolder,
    detectors: Sequence[str],
    by_suspicion: Sequence[tuple[int, str]],
    scripted: frozenset[str],
    budget: int,
) -> Answers:
    """The answers of the pairs `by_suspicion` (position in the page, id), most suspicious first, in about `budget`
    bytes."""
    first = by_suspicion[:MOST_PAIRS]
    said = said_of(run, detectors, {pair_id for _, pair_id in first})
    limit = _LONG if len(by_suspicion) <= _FEW_PAIRS else _SHORT
    asked: dict[tuple[str, str, str, str], int] = {}
    labels: dict[str, int] = {}
    pairs: dict[str, Json] = {}
    used, shown = 0, 0
    for position, pair_id in first:
        rows: list[Json] = [_row(s, asked, labels, limit) for s in said.get(pair_id, ())]
        used += len(json.dumps(rows, ensure_ascii=False).encode("utf-8", "replace"))
        if used > budget:
            break
        shown += 1
        if rows:
            pairs[str(position)] = rows
    named: list[Json] = [
        [one_line(d), fold(m, 80), one_line(c), m in scripted, *([fold(v, 60)] if v else [])] for d, m, c, v in asked
    ]
    return Answers({"asked": named, "labels": list(labels), "pairs": pairs}, used, len(by_suspicion) - shown)


def _row(said: Said, asked: dict[tuple[str, str, str, str], int], labels: dict[str, int], limit: int) -> Json:
    who = asked.setdefault((said.detector, said.model, said.condition, said.variant), len(asked))
    label = labels.setdefault(fold(said.shown, 120), len(labels))
    return [who, said.sample, label, said.chances, int(said.truncated), cut(said.answer, limit)]
