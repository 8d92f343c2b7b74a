"""The content detectors of a finished scan, ready to look at rewritten pairs as they looked at the set's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vsil_audit.detectors import registry
from vsil_audit.detectors.base import Batch, Detector, Lens, Need, SetContext, Unit
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Failed, Finding, Pair, Scored, Verdict
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.scoring import score_batch


class ContentLens:
    """What the run's content detectors say of other texts and images, each judged against the run's set: words weigh
    what they weigh there, and chance is what it is there.

    `names`: the detectors that take part. Left out are those that need embeddings of the whole set (they look at the
    finished set when it is scanned), named in `left_out`.
    """

    def __init__(self, folder: RunFolder) -> None:
        """Raises ConfigurationError where the run has no content detector."""
        config = folder.manifest().config
        self.names: tuple[str, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self._detectors: list[Detector] = []
        n_pairs = sum(map(folder.n_pairs, range(folder.n_batches())))
        context = SetContext(
            read=folder.batches,
            n_pairs=n_pairs,
            groups=clusters(folder, n_pairs).connected,
            seed=config.seed,
            options=config.detector_options,
        )
        for name in config.detectors:
            found = registry.load(name)
            if found.spec.lens is not Lens.CONTENT or found.spec.unit is not Unit.PAIR:
                continue
            if found.spec.needs - {Need.TEXT, Need.PIXELS, Need.OCR}:
                self.left_out += (name,)
                continue
            detector = registry.load_offline(name)()
            detector.prepare(context)
            self._detectors.append(detector)
            self.names += (name,)
        if not self._detectors:
            raise ConfigurationError(
                f"the run in {folder.path} has no content detector that can look at rewritten texts",
                "Scan without --detectors and --skip, or with ocr_overlap and description_overlap among them.",
            )

    def look(self, pairs: Sequence[Pair], images: Sequence[tuple[ImageFacts, ...]]) -> list[list[Finding]]:
        """All detectors' findings of each pair, in order."""
        found: list[list[Finding]] = [[] for _ in pairs]
        batch = Batch(0, tuple(pairs), tuple(images))
        for detector in self._detectors:
            for place, finding in enumerate(score_batch(detector, batch)):
                found[place].append(finding)
        return found


def suspected(findings: Iterable[Finding]) -> bool:
    return any(finding.verdict is Verdict.SUSPECTED for finding in findings)


def passages(findings: Iterable[Finding]) -> list[tuple[int, int]]:
    """Where in the query they see what they suspect, as code points."""
    return [
        (evidence.start, evidence.end)
        for finding in findings
        if finding.verdict is Verdict.SUSPECTED
        for evidence in finding.evidence
        if evidence.end > evidence.start
    ]


def scores(findings: Iterable[Finding]) -> dict[str, float | None]:
    """By detector; None where there is no score."""
    return {f.detector: f.outcome.value if isinstance(f.outcome, Scored) else None for f in findings}


def failures(findings: Iterable[Finding]) -> list[str]:
    """What kept detectors from looking, in words."""
    return [f"{f.detector}: {f.outcome.kind}" for f in findings if isinstance(f.outcome, Failed)]
