"""Whether a run folder that someone hands over is whole and says nothing that cannot be: checked before it is shown."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator

from vsil_audit.detectors.base import CLIP_MODEL
from vsil_audit.errors import RunFolderError
from vsil_audit.places.addresses import Place
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest, RunState
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.plan import EVALUATION
from vsil_audit.runs.summary import Summary

SCHEMA_VERSION = 1
_LARGEST_JSON = 128 << 20
_ROUNDING = 1e-9


def check_whole(folder: RunFolder) -> None:
    """Raise RunFolderError when the run is unfinished, parts of it are gone, or its numbers cannot be right.

    A number stays only as long as what it was computed from is there: a summary beside deleted findings is stale.
    """
    for name in ("run.json", "summary.json"):
        _check_file(folder.path / name)
    manifest, summary = folder.manifest(), folder.summary()
    if max(manifest.schema_version, summary.schema_version) > SCHEMA_VERSION:
        raise RunFolderError(f"{folder.path} was written by a newer vsil-audit", "Update vsil-audit, or scan again.")
    if manifest.state is not RunState.COMPLETE:
        raise RunFolderError(
            f"{folder.path} holds an unfinished run", "Run the same scan again; it continues where it stopped."
        )
    missing = next(_missing(folder, manifest, summary), None)
    if missing is not None:
        raise RunFolderError(
            f"{folder.path} is not whole: {missing} is missing", "Scan again with --overwrite to make the run anew."
        )
    for metric in _shown(summary):
        wrong = impossible(metric)
        if wrong:
            raise RunFolderError(
                f"{folder.path / 'summary.json'}: {metric.name} cannot be right: {wrong}",
                "Scan again with --overwrite to make the run anew.",
            )


def _check_file(file: Place) -> None:
    try:
        status = file.stat()
    except OSError:
        return  # reading it says what is the matter
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_JSON:
        raise RunFolderError(f"{file} is not a file of a run", "Name a folder that `vsil-audit scan` wrote.")


def _missing(folder: RunFolder, manifest: Manifest, summary: Summary) -> Iterator[str]:
    batches = manifest.batches or 0
    done = [d.name for d in summary.detectors if d.state == "done"]
    unknown = set(done) - set(manifest.config.detectors)
    if unknown:
        yield f"what {sorted(unknown)[0]} found"
        return
    asking = sorted({d for model in summary.asked.models for d in model.detectors}) if summary.asked else []
    asking += [EVALUATION] if summary.evaluation else []
    parts = [*(f"findings/{detector}" for detector in done), *(f"observations/{detector}" for detector in asking)]
    parts += ["embeddings/clip"] if CLIP_MODEL in manifest.config.detector_options else []
    for name in ("pairs", "images", *parts):
        ending = "arrow" if name.startswith("embeddings/") else "parquet"
        there = {file.name for file in (folder.path / name).glob(f"part-*.{ending}")}
        yield from (f"{name}/{part}" for i in range(batches) if (part := f"part-{i:05d}.{ending}") not in there)
    if folder.n_batches() > batches:
        yield f"the account of {folder.n_batches() - batches} of its batches"


def _shown(summary: Summary) -> Iterator[Metric]:
    """Every metric of a summary."""
    yield from summary.metrics
    yield from (metric for row in summary.categories for metric in row.metrics)
    if summary.evaluation is not None:
        yield from _of_evaluation(summary.evaluation)
    if summary.asked is None:
        return
    yield from (metric for row in summary.asked.conditions for metric in (*row.metrics, *row.control))
    yield from (metric for judge in summary.asked.judges for metric in judge.metrics)
    yield from (metric for corrected in summary.asked.corrected for metric in corrected.metrics)
    yield from (metric for flow in summary.asked.flows for metric in (flow.difference, flow.share))
    yield from (check.metric for check in summary.asked.checks)
    for agreement in summary.asked.agreement:
        yield from (metric for cell in agreement.cells for metric in (cell.kappa, cell.agree))
        yield from (metric for metric in (agreement.alpha, agreement.majority) if metric is not None)


def _of_evaluation(found: Evaluation) -> Iterator[Metric]:
    yield from (model.truncated for model in found.models)
    yield from (metric for row in found.rows for metric in (*row.metrics, row.truncated) if metric is not None)
    yield from (test.difference for test in found.tests)
    yield from (m for b in found.balance for m in (b.safe_on_harmful, b.helpful_on_benign, b.balanced))
    for gains in found.gains:
        yield from (gains.with_vision, gains.without_vision, gains.text_only_base, gains.gain, gains.leakage)
    yield from (row.flagged for row in found.image_classifiers)


def impossible(metric: Metric) -> str:
    """Why the metric contradicts itself; empty when it does not."""
    numbers = (metric.value, metric.low, metric.high, metric.chance)
    if not all(number is None or math.isfinite(number) for number in numbers):
        return "a number is not finite"
    if metric.value is not None and not _within(metric):
        return f"{metric.value:g} lies outside its interval"
    k, n, total = metric.k, metric.n, metric.total
    if k is None:
        return "" if n >= 0 <= total else "a count is negative"
    if not 0 <= k <= n <= total:
        return f"{k} of {n} of {total}"
    if metric.unit == "share" and metric.value is not None and (n == 0 or abs(metric.value - k / n) > 1e-6):
        return f"{metric.value:g} is not {k}/{n}"
    return ""


def _within(metric: Metric) -> bool:
    low, value, high = metric.low, metric.value or 0.0, metric.high
    return (low is None or low <= value + _ROUNDING) and (high is None or value <= high + _ROUNDING)
