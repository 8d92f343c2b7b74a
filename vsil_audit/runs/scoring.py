"""One detector over one run folder: prepare, score what is missing, conclude, each commit whole or absent.

The same here whether a detector runs in the scan's own process or in one of its own (`detector_worker`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vsil_audit.detectors.base import Batch, ClipVectors, Detector, Need, SetContext, Unit
from vsil_audit.errors import DetectorError, VsilAuditError
from vsil_audit.pair import Failed, Finding, Scored
from vsil_audit.runs.folder import RunFolder

_LARGEST = 1e38  # also false of NaN


def is_done(name: str, folder: RunFolder) -> bool:
    """Whether all findings of the detector called `name` are committed."""
    return folder.has_findings(name, None) and all(folder.has_findings(name, i) for i in range(folder.n_batches()))


def run_detector(
    detector_type: type[Detector], folder: RunFolder, context: SetContext, looked_at: Callable[[int], None]
) -> None:
    """Commit the findings of all batches that have none yet, and those of the set. `looked_at` is told how many pairs
    are done, in all, after each batch. Only a detector that needs CLIP is given the batches' vectors.

    Raises DetectorError when the detector breaks outside single pairs; errors of the folder pass through.
    """
    name = detector_type.spec.name
    clip = Need.CLIP in detector_type.spec.needs
    detector = prepared(detector_type, folder, context)
    done = 0
    for index in range(folder.n_batches()):
        if folder.has_findings(name, index):
            done += folder.n_pairs(index)
        else:
            batch = folder.read_batch(index, clip=clip)
            folder.write_findings(name, index, score_batch(detector, batch))
            done += len(batch.pairs)
        looked_at(done)
    conclude(detector, folder)


def prepared(detector_type: type[Detector], folder: RunFolder, context: SetContext) -> Detector:
    """A new detector that has learnt from the set. Raises DetectorError when it breaks."""
    clip = Need.CLIP in detector_type.spec.needs
    try:
        detector = detector_type()
        detector.prepare(replace(context, read=partial(folder.batches, clip=True)) if clip else context)
    except Exception as error:
        raise named_error(error, detector_type.spec.name, "as it prepared") from error
    return detector


def conclude(detector: Detector, folder: RunFolder) -> None:
    """Commit the findings of the set. Raises DetectorError when the detector breaks."""
    name = detector.spec.name
    try:
        concluded = [checked(f, name) for f in detector.conclude()]
    except Exception as error:
        raise named_error(error, name, "as it concluded") from error
    folder.write_findings(name, None, concluded)


def named_error(error: Exception, name: str, when: str) -> VsilAuditError:
    """An error that says which detector broke; what is already said for people stays as it is."""
    if isinstance(error, VsilAuditError):
        return error
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    return DetectorError(name, f"broke {when}: {type(error).__name__}: {error} ({where})")


def score_batch(detector: Detector, batch: Batch) -> list[Finding]:
    """A batch's findings. When the detector breaks, each pair is scored alone, so that one pair never costs another:
    the pair that breaks it gets a Failed finding."""
    try:
        return _valid(detector, batch, list(detector.score(batch)))
    except Exception:  # noqa: BLE001 - whatever a detector raises must not cost the other pairs
        return [finding for single in _singles(batch) for finding in _score_single(detector, single)]


def _singles(batch: Batch) -> Iterator[Batch]:
    first_image = 0
    for i, (pair, images) in enumerate(batch):
        end = first_image + len(images)
        clip = batch.clip and ClipVectors(batch.clip.texts.part(i, i + 1), batch.clip.images.part(first_image, end))
        yield Batch(batch.index, (pair,), (images,), clip)
        first_image = end


def _score_single(detector: Detector, single: Batch) -> list[Finding]:
    try:
        return _valid(detector, single, list(detector.score(single)))
    except Exception as error:  # noqa: BLE001 - recorded as a failure of this pair, with its reason
        failure = Failed("detector_error", f"{type(error).__name__}: {error}")
        return [Finding(detector.spec.name, single.pairs[0].id, failure)]


def _valid(detector: Detector, batch: Batch, findings: Sequence[Finding]) -> list[Finding]:
    """Raises ValueError unless there is one finding a pair, in order, where the detector promised that."""
    if detector.spec.unit is Unit.PAIR and [f.pair_id for f in findings] != [p.id for p in batch.pairs]:
        raise ValueError("the detector did not give one finding for each pair, in order")
    return [checked(f, detector.spec.name) for f in findings]


def checked(finding: Finding, name: str) -> Finding:
    """A score that is not a number, or larger than the columns of a summary can hold, is a failure, never data."""
    if isinstance(finding.outcome, Scored) and not abs(finding.outcome.value) < _LARGEST:
        return replace(finding, outcome=Failed("not_finite", f"{name} gave {finding.outcome.value}"))
    return finding
