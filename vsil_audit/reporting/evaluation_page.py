"""An evaluation of models as one HTML page that opens from disk. A pure function of the run folder."""

from __future__ import annotations

from collections.abc import Sequence

from vsil_audit.reporting import evaluation_parts, heat
from vsil_audit.reporting.asked_page import WITH
from vsil_audit.reporting.evaluation_parts import EvaluatedPart, condition_words
from vsil_audit.reporting.explorer import explorer
from vsil_audit.reporting.numbers import spent
from vsil_audit.reporting.page import json_for_script, render_page
from vsil_audit.reporting.standing import SCRIPTED_TELLS, Standing, standing
from vsil_audit.runs.asked.bounds import LEAST_COVERAGE, MOST_TRUNCATED
from vsil_audit.runs.evaluated.balance import CHANCE
from vsil_audit.runs.evaluated.rates import ALL, CATEGORY
from vsil_audit.runs.evaluation_summary import Evaluation, EvaluationRow, PairedTest
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import Summary
from vsil_audit.stats.rank_intervals import LEVEL

MOST_TELLING = 20
MOST_WARNINGS = 12
"""So many stand open; they come in the order of their weight."""
OUTCOMES = (("a", "none has a class"), ("f", "failed"))
"""The explorer's filter: letters of its data and what they mean."""


def render_evaluation(
    run: RunFolder, summary: Summary, found: Evaluation, *, max_pairs: int, thumbnail_bytes: int, answer_bytes: int
) -> str:
    """The report of a finished evaluation."""
    who, parts = standing(summary), evaluation_parts.evaluated_parts(found)
    pairs = explorer(run, summary, max_pairs=max_pairs, thumbnail_bytes=thumbnail_bytes, answer_bytes=answer_bytes)
    return render_page(
        "evaluation.html.j2",
        styles=("page.css", "report.css", "asked.css", "heat.css", "evaluation.css"),
        scripts=("page.js", "answers.js", "explorer.js"),
        summary=summary,
        manifest=run.manifest(),
        evaluation=found,
        standing=who,
        caveat=who.caveat,
        pairs=pairs,
        pair_data=json_for_script(pairs.data),
        thumbnail_data=json_for_script(pairs.thumbnails),
        answer_data=json_for_script(pairs.answers.data if pairs.answers else None),
        verdicts=OUTCOMES,
        not_run=[d for d in summary.detectors if d.state != "done"],
        **_nothing_of_a_scan(),
        **_values(found, parts, who),
    )


def _nothing_of_a_scan() -> dict[str, object]:
    """What the page of a scan shows and this one does not."""
    return {"asked": None, "beside": (), "categories": (), "suspicious": ()}


def _values(found: Evaluation, parts: Sequence[EvaluatedPart], who: Standing) -> dict[str, object]:
    return {
        "parts": parts,
        "ranked": [part for part in parts if not part.model.base],
        "main": evaluation_parts.main_condition(found),
        "benign": evaluation_parts.has_benign(found),
        "even": _even(),
        "asked_so": evaluation_parts.asked_so(parts),
        "heat": heat,
        "heat_maps": evaluation_parts.heat_maps(found, parts),
        "duels": evaluation_parts.duels(found, parts),
        "tests_of": lambda kind: evaluation_parts.tests_of(found, kind),
        "is_real": evaluation_parts.is_real,
        "number_real": lambda tests: sum(map(evaluation_parts.is_real, tests)),
        "test_titles": evaluation_parts.TEST_TITLES,
        "test_words": evaluation_parts.test_words,
        "caveat_of_test": lambda test: caveat_of_test(test, who),
        "telling": _telling(found),
        "rate_notes": _notes(found),
        "classes": evaluation_parts.CLASSES,
        "class_words": evaluation_parts.CLASS_WORDS,
        "condition_words": condition_words,
        "few_models": evaluation_parts.FEW_MODELS,
        "with_words": WITH,
        "scripted_tells": SCRIPTED_TELLS,
        "spent": spent(found.spend),
        "least_coverage": LEAST_COVERAGE,
        "most_truncated": MOST_TRUNCATED,
        "most_warnings": MOST_WARNINGS,
    }


def _even() -> Metric:
    """The dashed tick of a balanced rate."""
    return Metric(
        name="even", tells="refuses everything, or nothing", nature=Nature.MEASURED, unit="share", value=CHANCE
    )


def caveat_of_test(test: PairedTest, who: Standing) -> str:
    """`scripted` or `partly scripted`, where the answers compared or who classed them are."""
    models = (test.first, test.second) if test.kind == "models" else (test.model,)
    return who.label((*models, *who.classers))


def _telling(found: Evaluation) -> list[EvaluationRow]:
    """Categories in which a model is shown to be safer or less safe than in the rest, the surest first."""
    rows = [r for r in found.rows if r.slice_kind == CATEGORY and r.p_adjusted is not None and r.p_adjusted <= LEVEL]
    return sorted(rows, key=lambda r: (r.p_adjusted or 0.0, r.model, r.slice))[:MOST_TELLING]


def _notes(found: Evaluation) -> list[str]:
    """What is to be said of every rate alike, but for who classed the answers."""
    whole = [m.note for row in found.rows if row.slice_kind == ALL for m in row.metrics if m.value is not None]
    common = set.intersection(*(set(note.split("; ")) for note in whole)) if whole else set()
    return sorted(note for note in common if note and not note.startswith("classed"))
