"""A run as one HTML page that opens from disk. A pure function of the run folder; it computes no new number."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from vsil_audit.pair import Evidence, Finding
from vsil_audit.reporting import asked_page
from vsil_audit.reporting.evaluation_page import render_evaluation
from vsil_audit.reporting.evidence import strongest_evidence, within
from vsil_audit.reporting.explorer import MAX_PAIRS, THUMBNAIL_BYTES, Explorer, explorer
from vsil_audit.reporting.explorer_answers import ANSWER_BYTES
from vsil_audit.reporting.lenses import (
    LENS_HEADINGS,
    LENS_TELLS,
    LENS_TITLES,
    detector_metrics,
    headline,
    lens_metrics,
    metrics_beside_lenses,
)
from vsil_audit.reporting.numbers import spent
from vsil_audit.reporting.observed import asking_detectors, said_of
from vsil_audit.reporting.page import json_for_script, render_page
from vsil_audit.reporting.pair_reports import PairReport
from vsil_audit.reporting.standing import NO_BOUND, SCRIPTED_TELLS, Standing, quantity_of, standing
from vsil_audit.reporting.untrusted import fold, visible
from vsil_audit.runs.asked.bounds import MOST_DISAGREEMENTS
from vsil_audit.runs.asked_summary import AskedSummary
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.summary import CategoryRow, Summary

TOP_PAIRS = 10
_EXCERPT = 240
VERDICT_FILTERS = (
    ("flagged", "flagged by any detector"),
    ("l", "leak"),
    ("s", "suspected"),
    ("p", "predicted"),
    ("i", "issue"),
    ("c", "clear"),
    ("a", "abstained"),
    ("f", "failed"),
)
"""The verdict filter's choices: letters of the explorer's data and what they mean."""


def render_html(
    run: RunFolder,
    *,
    max_pairs: int = MAX_PAIRS,
    thumbnail_bytes: int = THUMBNAIL_BYTES,
    answer_bytes: int = ANSWER_BYTES,
) -> str:
    """The report of a finished run, of a scan or of an evaluation. Raises RunFolderError when the run is not complete.

    Above `max_pairs` the most suspicious pairs stay in the explorer, and `thumbnail_bytes` bounds the JPEG bytes in
    the page, of which models' answers may take `answer_bytes`; it says what was left out.
    """
    summary, manifest = run.summary(), run.manifest()
    if summary.evaluation is not None:
        return render_evaluation(
            run,
            summary,
            summary.evaluation,
            max_pairs=max_pairs,
            thumbnail_bytes=thumbnail_bytes,
            answer_bytes=answer_bytes,
        )
    asked, who = summary.asked, standing(summary)
    pairs = explorer(
        run,
        summary,
        max_pairs=max_pairs,
        thumbnail_bytes=thumbnail_bytes,
        answer_bytes=answer_bytes,
        wanted=asked_page.example_ids(asked) if asked else (),
    )
    return render_page(
        "report.html.j2",
        styles=("page.css", "report.css", *(("asked.css",) if asked else ())),
        scripts=("page.js", *(("answers.js",) if asked else ()), "explorer.js"),
        summary=summary,
        manifest=manifest,
        lenses=[(lens, lens_metrics(summary, lens, who)) for lens in summary.lenses],
        headlines=[(lens, headline(summary, lens, who)) for lens in summary.lenses],
        lens_titles=LENS_TITLES,
        lens_tells=LENS_TELLS,
        lens_headings=LENS_HEADINGS,
        beside=metrics_beside_lenses(summary),
        ran=[(d, detector_metrics(summary, d.name, who)) for d in summary.detectors if d.state == "done"],
        not_run=[d for d in summary.detectors if d.state != "done"],
        categories=_worst_first(summary.categories),
        suspicious=pairs.most_suspicious[:TOP_PAIRS],
        excerpt=excerpt,
        finding_line=finding_line,
        verdicts=VERDICT_FILTERS,
        pairs=pairs,
        pair_data=json_for_script(pairs.data),
        thumbnail_data=json_for_script(pairs.thumbnails),
        asked=asked,
        standing=who,
        caveat=who.caveat,
        **(_asked_values(run, summary, asked, who, pairs) if asked else {}),
    )


def _asked_values(
    run: RunFolder, summary: Summary, asked: AskedSummary, who: Standing, pairs: Explorer
) -> dict[str, object]:
    """What the sections about asked models show."""
    said = said_of(run, asking_detectors(run, summary), pairs.wanted.keys())
    return {
        "asked_parts": asked_page.asked_parts(summary, asked, who),
        "asked_titles": asked_page.DETECTOR_TITLES,
        "agreement_titles": asked_page.AGREEMENT_TITLES,
        "lens_agreement": asked_page.agreement_of_lenses(asked),
        "rater_agreement": asked_page.agreement_of_raters(asked),
        "examples": asked_page.Examples(pairs.wanted, said),
        "answer_limit": asked_page.ANSWER,
        "answer_data": json_for_script(pairs.answers.data if pairs.answers else None),
        "believed": who.believed,
        "cell_words": asked_page.cell_words,
        "class_of": asked_page.class_of,
        "control_of": asked_page.control_of,
        "quantity_of": quantity_of,
        "most_disagreements": MOST_DISAGREEMENTS,
        "no_bound": NO_BOUND,
        "rated_by": asked_page.rated_by,
        "same_pairs": asked_page.same_pairs,
        "shared_note": asked_page.shared_note,
        "scripted_tells": SCRIPTED_TELLS,
        "spent": spent(asked.spend),
        "symbols": asked_page.SYMBOLS,
        "with_words": asked_page.WITH,
    }


def excerpt(report: PairReport, limit: int = _EXCERPT) -> Markup:
    """The start of a pair's text with what the detectors point at marked; what is left out is counted."""
    text = report.pair.text[:limit]
    parts = [
        Markup("<mark>{}</mark>").format(piece) if marked else Markup("{}").format(piece)
        for piece, marked in _pieces(visible(text), [e for f in report.flagged() for e in f.evidence])
    ]
    rest = len(report.pair.text) - len(text)
    if rest:
        parts.append(Markup(' <span class="rest">… (+ {:,} characters)</span>').format(rest))
    return Markup("").join(parts)


def _pieces(text: str, evidence: Sequence[Evidence]) -> list[tuple[str, bool]]:
    """`text` cut at the edges of all passages of evidence, each piece with whether it lies in one."""
    pieces, reached = [], 0
    for passage in within(evidence, len(text)):
        if passage.end <= reached:
            continue
        start = max(passage.start, reached)
        pieces += [(text[reached:start], False), (text[start : passage.end], True)]
        reached = passage.end
    return [(piece, marked) for piece, marked in [*pieces, (text[reached:], False)] if piece]


def _worst_first(rows: Sequence[CategoryRow]) -> list[CategoryRow]:
    def key(row: CategoryRow) -> tuple[float, int, str]:
        value = row.metrics[0].value if row.metrics else None
        return -1.0 if value is None else -value, -row.pairs, row.category

    return sorted(rows, key=key)


def finding_line(report: PairReport, finding: Finding) -> str:
    """One flagged finding in words, for the printed table."""
    kind = finding.kind.replace("_", " ")
    said = strongest_evidence(report.pair.text, finding)
    return fold(": ".join(part for part in (kind, said) if part), 200)
