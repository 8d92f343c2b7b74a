"""The end of every build: the set is emitted, scanned, rid of what the detectors still suspect, and summed up."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from vsil_audit.audit import Audit, load
from vsil_audit.builders.emission import emit
from vsil_audit.builders.folder import PROVENANCE, BuildFolder, BuildManifest
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.hygiene import LETTER as HYGIENE
from vsil_audit.builders.gates.overlap import LETTER as OVERLAP
from vsil_audit.builders.gates.panel import REJECT
from vsil_audit.builders.publishing import Publishing, SetOptions
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.selection import finished_records, left_out
from vsil_audit.builders.summarise import summarise
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.detectors import registry
from vsil_audit.detectors.base import Lens, Unit
from vsil_audit.errors import RunFolderError
from vsil_audit.features.words import words
from vsil_audit.pair import Scored, Verdict
from vsil_audit.runs.execute import execute
from vsil_audit.runs.folder import RunFolder, write_atomically
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.spending import spent, together
from vsil_audit.sources.base import SourceOptions
from vsil_audit.wording import plural

BEFORE, AFTER, CHECK = "scan-before", "scan-after", "scan-check"
NOT_IN_SET = "not-in-set.jsonl"
"""Beside the records: every pair that is not in the set, what became of it, the gate that stopped it, and why."""

MOST_WITHDRAWALS = 3
_DONE = {"convert": "converted", "build": "built"}


@dataclass(frozen=True, slots=True)
class Built:
    """A finished build: the set in `path`, its records, and both scans. `after` None: no pair is in the set."""

    folder: BuildFolder
    summary: BuildSummary
    before: Audit | None
    after: Audit | None

    @property
    def path(self) -> Path:
        return self.folder.path


@dataclass(frozen=True)
class Finish:
    """`plan`: the scan before, whose detectors look again; `before`: what it found. `warnings`: for the summary.
    `publishing`: what joins the set, and what is written about it; by default no twins."""

    folder: BuildFolder
    manifest: BuildManifest
    plan: ScanPlan
    before: RunFolder
    looked_by: Sequence[str]
    progress: Progress
    command_line: str = ""
    warnings: Sequence[str] = ()
    publishing: Publishing | None = None

    def built(self) -> Built:
        """Records of all pairs must be there. Raises what a scan raises; the same call then goes on."""
        warnings = [*self.warnings, *self._settle()]
        after = self._last_scan()
        if after is not None:
            warnings += lost_sight(self.before, after.folder)
        if self.manifest.command == "convert":
            warnings += assumed_labels(self.folder)
        manifest = self.folder.manifest()
        summary = summarise(
            self.folder.records(),
            command=self.manifest.command,
            name=self.manifest.name,
            before=self.before.summary(),
            after=None if after is None else after.summary,
            looked_by=self.looked_by,
        )
        scans = (self.before.manifest().spend, [] if after is None else after.folder.manifest().spend)
        spend = together(manifest.spend, *scans)
        summary = summary.model_copy(update={"warnings": [*summary.warnings, *warnings], "spend": spend})
        summary = self._publishing.summary(summary)
        self._publishing.publish(manifest, summary)
        own = self.folder.path / PROVENANCE
        write_atomically(own / NOT_IN_SET, _not_in_set(self.folder).encode("utf-8", "surrogatepass"))
        write_atomically(own / "summary.json", summary.model_dump_json(indent=2).encode())
        done = {"state": "complete", "finished": now()}
        self.folder.write_manifest(manifest.model_copy(update=done))
        return Built(self.folder, summary, Audit(self.before), after)

    @cached_property
    def _publishing(self) -> Publishing:
        seed = self.plan.options.seed
        return self.publishing or Publishing(self.folder, SetOptions(), name=self.manifest.name, seed=seed)

    @property
    def _asks(self) -> bool:
        return bool(self.plan.chat_detectors)

    def _settle(self) -> list[str]:
        """Emit, scan and withdraw until the detectors suspect nothing that is in the set; what to warn of."""
        withdraw_repeats(self.folder)
        for _ in range(MOST_WITHDRAWALS):
            if not self._emit():
                return ["No pair is in the set."]
            if not (found := suspected_in(self._scan(CHECK if self._asks else AFTER, asking=False))):
                return []
            withdraw(self.folder, self._publishing.of_pairs(found))
        if not self._emit():
            return ["No pair is in the set."]
        left = suspected_in(self._scan(CHECK if self._asks else AFTER, asking=False))
        return [f"After {MOST_WITHDRAWALS} rounds the detectors still suspect {len(left)} pairs."] if left else []

    def _emit(self) -> int:
        """How many pairs the set has."""
        self._publishing.select()
        return emit(self.folder)

    def _last_scan(self) -> Audit | None:
        if next(finished_records(self.folder), None) is None:
            return None
        return self._scan(AFTER, asking=True) if self._asks else Audit.open(self.folder.path / PROVENANCE / AFTER)

    def _scan(self, name: str, *, asking: bool) -> Audit:
        """The finished set through the detectors that looked before; those that ask models only in the last scan, whose
        run goes on where it stopped."""
        offline = [detector.spec.name for detector in self.plan.detectors]
        chat = [detector.spec.name for detector in self.plan.chat_detectors if asking]
        options = self.plan.options
        elsewhere = spent(self.folder.manifest().spend) + spent(self.before.manifest().spend)
        again: ScanOptions = replace(
            options,
            output=self.folder.path / PROVENANCE / name,
            detectors=(*offline, *chat),
            skip=(),
            limit=None,
            sample=None,
            overwrite=not asking,
            gateway=replace(options.gateway, spent=options.gateway.spent + elsewhere),
        )
        source = load(self.folder.path, options=SourceOptions(layout="vlsbench"))
        plan = plan_scan(source, f"{self.plan.name}, {_DONE[self.manifest.command]}", again)
        try:
            return Audit(execute(plan, self.progress, self.command_line))
        except RunFolderError:
            if again.overwrite:
                raise
        # the set has changed since that run began: what it asked is in the cache, and what it cost is still known
        return Audit(execute(replace(plan, options=replace(again, overwrite=True)), self.progress, self.command_line))


def is_content_detector(name: str) -> bool:
    """Whether its findings about pairs are of content overlap."""
    spec = registry.load(name).spec
    return spec.lens is Lens.CONTENT and spec.unit is Unit.PAIR


def suspected_in(audit: Audit) -> dict[str, list[str]]:
    """By pair's id, the content detectors that suspect it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in audit.folder.detectors():
        if not is_content_detector(name):
            continue
        for finding in audit.folder.findings(name):
            if finding.pair_id is not None and finding.verdict is Verdict.SUSPECTED:
                found[finding.pair_id].append(name)
    return dict(found)


def lost_sight(before: RunFolder, after: RunFolder) -> list[str]:
    """What to warn of: content detectors that could look at pairs before and cannot in the finished set."""
    told = []
    for name in filter(is_content_detector, after.detectors()):
        seen, now_seen = _looked_at(before, name), _looked_at(after, name)
        in_set = {finding.pair_id for finding in after.findings(name)}
        if gone := len((seen & in_set) - now_seen):
            pairs = plural(gone, "pair")
            told.append(f"{name} could look at {pairs} before, and cannot in the finished set.")
    return told


def assumed_labels(folder: BuildFolder) -> list[str]:
    """What to warn of: pairs of the set of which neither the source nor a judge says whether they are unsafe."""
    count = sum(record.draft.label_assumed for record in finished_records(folder))
    if not count:
        return []
    return [
        f"Of {plural(count, 'pair')} in the set nobody has said whether they are unsafe: taken to be (`label_assumed`)."
    ]


def _looked_at(run: RunFolder, detector: str) -> set[str | None]:
    if detector not in run.detectors():
        return set()
    return {finding.pair_id for finding in run.findings(detector) if isinstance(finding.outcome, Scored)} - {None}


def withdraw(folder: BuildFolder, found: Mapping[str, Sequence[str]]) -> None:
    """Take the pairs of these ids out of the set: suspected in it by these detectors."""

    def result(record: Record) -> GateResult | None:
        by = found.get(record.draft.id)
        if by is None:
            return None
        votes = tuple(Vote(name, REJECT) for name in by)
        return GateResult(OVERLAP, passed=False, reason=f"suspected in the finished set: {', '.join(by)}", votes=votes)

    _reject(folder, result)


def withdraw_repeats(folder: BuildFolder) -> None:
    """Of pairs that were built and have equal texts and images, only the first stays in the set. Pairs that were passed
    on as they were stay, as the source has them."""
    seen: dict[tuple[object, ...], str] = {}

    def result(record: Record) -> GateResult | None:
        draft = record.draft
        folded = tuple(word.folded for word in words(draft.text)) or draft.text
        first = seen.setdefault((folded, None if draft.image is None else draft.image.digest), draft.id)
        if first == draft.id or record.fate is not Fate.BUILT:
            return None
        reason = f"repeats another pair of the set: {first}"
        return GateResult(HYGIENE, passed=False, reason=reason, votes=(Vote("hygiene", REJECT, reason),))

    _reject(folder, result)


def _reject(folder: BuildFolder, result: Callable[[Record], GateResult | None]) -> None:
    """Give the pairs of the set for which there is a result the fate that it means, batch by batch."""
    for index in folder.part_indices():
        records = list(folder.records(index))
        judged = [(record, result(record) if record.fate.emitted else None) for record in records]
        if any(found is not None for _, found in judged):
            folder.write_records(index, [r if found is None else _rejected(r, found) for r, found in judged])


def _rejected(record: Record, result: GateResult) -> Record:
    return replace(record, fate=Fate.REJECTED, gates=(*record.gates, result), reason=result.reason)


def _not_in_set(folder: BuildFolder) -> str:
    """A line for each, in the records' order; the fate of those that passed, and have no place in the set, says so."""
    passed = left_out(folder)
    lines = []
    for record in folder.records():
        name = record.draft.id
        told = {"id": name, "fate": record.fate.value, "gate": record.stopped_by, "reason": record.reason}
        if record.fate.emitted:
            told |= {"fate": "left_out", "reason": passed.get(name, "")}
        if not record.fate.emitted or name in passed:
            lines.append(json.dumps(told, ensure_ascii=False) + "\n")
    return "".join(lines)


def finished(folder: BuildFolder) -> Built | None:
    """The build as it was finished before; None for one that is not complete."""
    own = folder.path / PROVENANCE
    if folder.manifest().state != "complete":
        return None
    try:
        summary = BuildSummary.model_validate_json((own / "summary.json").read_bytes())
        after = Audit.open(own / AFTER) if summary.emitted else None
        return Built(folder, summary, Audit.open(own / BEFORE), after)
    except (OSError, ValueError, RunFolderError):
        return None  # something of it was removed: it is made again


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
