"""The paper's own tables, for display beside what was measured. Nothing is ranked or tested across the two."""

from __future__ import annotations

from collections.abc import Iterable

from vsil_audit.evaluation.paper import PaperTables
from vsil_audit.evaluation.paper.tables import Ablation, PaperDataset
from vsil_audit.reporting.leaderboard.blocks import Block, Column, columns, limits, points

FROM_THE_PAPER = "From the paper"
NOT_MEASURED = "Source: paper. These numbers were printed there and not measured here: no rank, no test across."


def paper_blocks(tables: PaperTables) -> list[Block]:
    """Answers on VLSBench, ablations, R1 and R2, and the response judge."""
    return [_responses(tables), *map(_ablation, tables.ablations), _leakage(tables), _judge(tables)]


def sizes(tables: PaperTables, names: Iterable[str]) -> str:
    """What is known of how many pairs the sets hold, in a sentence or two."""
    sets = {name: tables.datasets[name] for name in names}
    known = [f"{name} {'about ' if s.about else ''}{s.n:,}" for name, s in sets.items() if s.n is not None]
    averages = [name for name, s in sets.items() if s.n is None]
    said = f"Pairs: {', '.join(known)}."
    if averages:
        said += f" Averages over parts of unknown size, so without interval: {', '.join(averages)}."
    return said


def _responses(tables: PaperTables) -> Block:
    size = tables.datasets["VLSBench"]
    return Block(
        f"{FROM_THE_PAPER}: answers on VLSBench",
        columns("model", "refusal, %", "warning, %", "safe, %", names=["model"]),
        tuple(
            (r.model, points(r.refusal / 100), points(r.warning / 100), _rate(r.total, size)) for r in tables.responses
        ),
        (
            f"Text and image shown; classed by {tables.judge.model}, whose errors are in no interval.",
            sizes(tables, ["VLSBench"]),
            NOT_MEASURED,
        ),
        paper=True,
    )


def _ablation(ablation: Ablation) -> Block:
    size = PaperDataset(n=ablation.n)
    return Block(
        f"{FROM_THE_PAPER}: ablation {ablation.name}",
        (Column("model", name=True, left=True), *(Column(f"{title}, %") for title in ablation.columns)),
        tuple((name, *(_rate(rate, size) for rate in rates)) for name, rates in ablation.rows.items()),
        (f"{ablation.tells[:1].upper()}{ablation.tells[1:]}.", NOT_MEASURED),
        paper=True,
    )


def _leakage(tables: PaperTables) -> Block:
    def v(row: int) -> str:
        found = tables.leakage[row].v_interval(tables.datasets[tables.leakage[row].dataset])
        return "–" if found.value is None else f"{points(found.value)}{limits(found.low, found.high)}"

    return Block(
        f"{FROM_THE_PAPER}: pairs judged unsafe, and from the text alone",
        columns("set", "judge", "R1, %", "R2, %", "V = R2 / R1, %", names=["set", "judge"]),
        tuple(
            (row.dataset, row.judge, points(row.r1 / 100), points(row.r2 / 100), v(i))
            for i, row in enumerate(tables.leakage)
        ),
        (
            "R1: judged unsafe with the image; R2: from the text alone too. V is recomputed from both.",
            sizes(tables, dict.fromkeys(row.dataset for row in tables.leakage)),
            NOT_MEASURED,
        ),
        keys=2,
        paper=True,
    )


def _judge(tables: PaperTables) -> Block:
    judge = tables.judge
    return Block(
        f"{FROM_THE_PAPER}: the judge of the answers against people",
        columns("judge", "right on safe, %", "right on unsafe, %", names=["judge"]),
        ((judge.model, points(judge.accuracy_on_safe / 100), points(judge.accuracy_on_unsafe / 100)),),
        (f"On {judge.n:,} answers in all.", NOT_MEASURED),
        paper=True,
    )


def _rate(per_cent: float, size: PaperDataset) -> str:
    found = size.interval(per_cent / 100)
    return f"{points(per_cent / 100)}{limits(found.low, found.high)}"
