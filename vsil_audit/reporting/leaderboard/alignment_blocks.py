"""An alignment comparison as tables: Δ by set, and each checkpoint with its gain over the base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vsil_audit.evaluation.alignment import Alignment, AlignmentRow, RoleRate, Verdict
from vsil_audit.evaluation.alignment_groups import PAPER
from vsil_audit.evaluation.paper import PaperTables
from vsil_audit.reporting.leaderboard.blocks import Block, Column, columns, difference, points, rate
from vsil_audit.reporting.leaderboard.paper_blocks import FROM_THE_PAPER, NOT_MEASURED, sizes

_ROLES = {"base": "base", "text_aligned": "text", "multimodal_aligned": "images"}  # with what it was aligned
MEANS = (
    "Δ: safe rate of the multimodal-aligned minus that of the text-aligned checkpoints. Near zero, alignment that "
    "never saw an image does as well on that set: its texts are enough."
)
OF_THESE = "Of these checkpoints and pairs like these: how far another training run would differ is in no interval."
FROM_PRINTED = "Made of printed rates, each checkpoint taken as answering independently of the others."
SAMPLING = "Sampling error only: the classing of answers errs on both sides."


def alignment_blocks(alignment: Alignment, tables: PaperTables) -> list[Block]:
    """For each group, and each source of its numbers: Δ by set, the checkpoints' rates, their gains."""
    found: list[Block] = []
    for group, source in dict.fromkeys((row.group, row.source) for row in alignment.rows):
        rows = [row for row in alignment.rows if (row.group, row.source) == (group, source)]
        found += [_gaps(group, rows, alignment.margin, tables), _checkpoints(group, rows)]
        if any(row.base for row in rows):
            found.append(_gains(group, rows))
    return found


def _gaps(group: str, rows: Sequence[AlignmentRow], margin: float, tables: PaperTables) -> Block:
    paper = _is_paper(rows)
    verdict = f"at {100 * margin:g} points"
    titles = ["set", "Δ, points", verdict, "text − base", "images − base", *([] if paper else ["compared"])]
    return Block(
        _title(group, "is text enough?", rows),
        columns(*titles, names=["set"], left=[verdict, "compared"]),
        tuple(
            (
                _where(row, rows),
                difference(row.gap),
                row.verdict.value,
                difference(row.text_aligned.gain),
                difference(row.multimodal_aligned.gain),
                *(
                    []
                    if paper
                    else [f"{'paired' if row.paired else 'apart'}, {row.gap.n:,} of {row.gap.total:,} pairs"]
                ),
            )
            for row in rows
        ),
        (
            *_scripted(rows),
            *_conclusions(rows, margin),
            MEANS,
            *((FROM_PRINTED, sizes(tables, [row.dataset for row in rows])) if paper else (SAMPLING,)),
            OF_THESE,
            *([NOT_MEASURED] if paper else []),
        ),
        paper=paper,
    )


def _checkpoints(group: str, rows: Sequence[AlignmentRow]) -> Block:
    printed = dict.fromkeys(
        f"{c.name} on {row.dataset}: {c.safe.note}."
        for row in rows
        for role in _roles(row)
        for c in role.checkpoints
        if _is_paper(rows) and "printed as" in c.safe.note
    )
    return Block(
        _title(group, "safe rates", rows),
        _by_set(rows, "%"),
        tuple(_lines(group, rows, gains=False)),
        (*printed, *_with_means(rows), *([NOT_MEASURED] if _is_paper(rows) else [])),
        paper=_is_paper(rows),
    )


def _gains(group: str, rows: Sequence[AlignmentRow]) -> Block:
    return Block(
        _title(group, "safe rates minus that of the base", rows),
        _by_set(rows, "points"),
        tuple(_lines(group, rows, gains=True)),
        (*_with_means(rows), *([NOT_MEASURED] if _is_paper(rows) else [])),
        paper=_is_paper(rows),
        more=True,
    )


def _by_set(rows: Sequence[AlignmentRow], unit: str) -> tuple[Column, ...]:
    sets = (Column(f"{_where(row, rows)}, {unit}") for row in rows)
    return (Column("checkpoint", name=True, left=True), *sets)


def _lines(group: str, rows: Sequence[AlignmentRow], *, gains: bool) -> Iterator[tuple[str, ...]]:
    """A line for each checkpoint, and for the mean of a role with several."""
    scripted = _scripted_names(rows)
    for role, word in _ROLES.items():
        if gains and role == "base":
            continue
        of_sets = [next((r for r in _roles(row) if r.role == role), None) for row in rows]
        for name in dict.fromkeys(c.name for of in of_sets if of for c in of.checkpoints):
            short = name.removeprefix(f"{group} + ") if _is_paper(rows) else name
            yield (
                f"{word}: {short}{' (scripted)' if name in scripted else ''}",
                *(_of_checkpoint(of, name, gains=gains) for of in of_sets),
            )
        if any(of and of.spread for of in of_sets):
            yield f"{word}: mean", *(_of_mean(of, gains=gains) for of in of_sets)
        if not gains and any(of and of.spread for of in of_sets):
            yield f"{word}: lowest to highest", *(_spread(of) for of in of_sets)


def _of_checkpoint(of: RoleRate | None, name: str, *, gains: bool) -> str:
    found = next((c for c in of.checkpoints if c.name == name), None) if of else None
    if found is None:
        return "–"
    return difference(found.gain) if gains else rate(found.safe)


def _of_mean(of: RoleRate | None, *, gains: bool) -> str:
    if of is None or of.spread is None:
        return "–"
    return difference(of.gain) if gains else rate(of.mean)


def _spread(of: RoleRate | None) -> str:
    return "–" if of is None or of.spread is None else " to ".join(map(points, of.spread))


def _with_means(rows: Sequence[AlignmentRow]) -> Iterator[str]:
    if any(role.spread for row in rows for role in _roles(row)):
        yield "A mean's limits are the means of its checkpoints' limits: they hold however alike those answer."


def _roles(row: AlignmentRow) -> Iterator[RoleRate]:
    if row.base is not None:
        yield row.base
    yield row.text_aligned
    yield row.multimodal_aligned


def _where(row: AlignmentRow, rows: Sequence[AlignmentRow]) -> str:
    """The set, with its condition where the rows differ in it."""
    return row.dataset if len({r.condition for r in rows}) == 1 else f"{row.dataset} ({row.condition})"


def _conclusions(rows: Sequence[AlignmentRow], margin: float) -> Iterator[str]:
    """One sentence for each verdict that there is."""
    least = f"{100 * margin:g} points"
    words = {
        Verdict.TEXT_IS_ENOUGH: f"Text is enough (the whole interval of Δ lies below {least})",
        Verdict.IMAGES_ADD: f"Text is not enough (the whole interval of Δ lies above {least})",
        Verdict.NOT_SETTLED: f"Not settled (the interval of Δ reaches across {least})",
        Verdict.NO_INTERVAL: "No interval, so nothing is concluded",
    }
    for verdict, says in words.items():
        if on := [_where(row, rows) for row in rows if row.verdict is verdict]:
            yield f"{says}: {', '.join(on)}."


def _scripted(rows: Sequence[AlignmentRow]) -> Iterator[str]:
    if names := _scripted_names(rows):
        yield f"Scripted: no model was asked for the answers of {', '.join(names)}."


def _scripted_names(rows: Sequence[AlignmentRow]) -> list[str]:
    every = (c for row in rows for role in _roles(row) for c in role.checkpoints)
    return list(dict.fromkeys(c.name for c in every if c.scripted))


def _is_paper(rows: Sequence[AlignmentRow]) -> bool:
    return rows[0].source == PAPER


def _title(group: str, what: str, rows: Sequence[AlignmentRow]) -> str:
    return f"{FROM_THE_PAPER if _is_paper(rows) else 'Alignment'}: {group}, {what}"
