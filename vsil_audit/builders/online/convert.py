"""`vsil-audit convert --editor`: scan, rewrite what leaks with models, and finish the set."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vsil_audit.audit import dataset_name, load
from vsil_audit.builders.content_lens import ContentLens
from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.finishing import BEFORE, Built, Finish, finished, is_content_detector, now
from vsil_audit.builders.folder import PROVENANCE, BuildFolder, BuildManifest
from vsil_audit.builders.gates.coherent import PROMPT as COHERENCE
from vsil_audit.builders.gates.minors import PROMPT as MINORS
from vsil_audit.builders.gates.overlap import Overlap
from vsil_audit.builders.gates.pair_unsafe import PROMPT as PAIR
from vsil_audit.builders.generators.kept import KeptImages
from vsil_audit.builders.online.content import PROMPT as CONTENT
from vsil_audit.builders.online.conversion import Conversion, Found
from vsil_audit.builders.online.detoxify import PROMPT as DETOXIFY
from vsil_audit.builders.online.drafts import Drafts
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.online.picture import CHECK, Pictures
from vsil_audit.builders.online.picture import PROMPT as IMAGE_PROMPT
from vsil_audit.builders.online.session import Session, check_models, session
from vsil_audit.builders.online.terms import acknowledge
from vsil_audit.builders.online.twin_judging import TwinJudging
from vsil_audit.builders.publishing import Publishing
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.source_pairs import draft_of, source_pair
from vsil_audit.builders.twin_check import check_twins
from vsil_audit.detectors import registry
from vsil_audit.detectors.base import Lens, Need, Unit
from vsil_audit.detectors.safety_judge.verdict import PAIR_PROMPT, TEXT_PROMPT
from vsil_audit.detectors.structured import REPAIR
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.gateway.meter import Spent
from vsil_audit.pair import Failed, Finding, ImageRef, Pair, Scored, Verdict
from vsil_audit.prompts import prompt
from vsil_audit.runs.execute import execute
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.runs.reader import RawBatch
from vsil_audit.runs.reading import raw_batches
from vsil_audit.runs.spending import spent
from vsil_audit.sources.base import Source, SourceOptions

_NOT_ASKED = ("llm_judge", "text_refusal")
"""Detectors that ask models, and do not decide what is rewritten: left out unless the user names them."""

PROMPTS = (TEXT_PROMPT, PAIR_PROMPT, PAIR, COHERENCE, MINORS, CONTENT, DETOXIFY, IMAGE_PROMPT, CHECK, REPAIR)


def convert(
    path: str | Path,
    out: str | Path,
    options: OnlineOptions,
    *,
    source_options: SourceOptions | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Built:
    """Convert the benchmark at `path` into a set in the folder `out`, with models.

    A call with equal data and options continues one that was interrupted; nothing that was paid for is paid twice.
    Raises VsilAuditError of some kind, each with a remedy: NoProviderError (exit code 4) where an endpoint is dead,
    BudgetReachedError (exit code 3).
    """
    listener = progress or Silent()
    acknowledged = acknowledge(options.scan.cache, acknowledged=options.acknowledge_use)
    source = load(path, options=source_options)
    folder = BuildFolder.beside(Path(out), path)
    plan = scan_before(source, dataset_name(path, source), folder, options)
    if options.benign_maker() is None:
        check_twins(options.publish, source, options.scan, listener, draws=False)
    with folder.locked():
        manifest = folder.begin(_manifest(plan, options, command, acknowledged=acknowledged))
        return finished_before(folder, listener) or convert_plan(plan, folder, manifest, options, listener, command)


def scan_before(source: Source, name: str, folder: BuildFolder, options: OnlineOptions) -> ScanPlan:
    """The scan that tells what leaks: by the judges where some are named, and by the content detectors."""
    scan = options.scan
    ask = replace(scan.ask, targets=(), judges=options.judges)
    skip = scan.skip if scan.detectors is not None else tuple(dict.fromkeys((*scan.skip, *_NOT_ASKED)))
    return plan_scan(source, name, replace(scan, ask=ask, skip=skip, output=folder.path / PROVENANCE / BEFORE))


def _manifest(plan: ScanPlan, options: OnlineOptions, command: str, *, acknowledged: bool) -> BuildManifest:
    config = plan.config
    settings = {
        **settings_of(options),
        "view": plan.source.view,
        "detectors": config.detector_versions,
        "limit": config.limit,
        "sample": config.sample,
    }
    return BuildManifest(
        command="convert",
        name=plan.name,
        tool_version=version("vsil-audit"),
        command_line=command,
        started=now(),
        fingerprint=plan.fingerprint.content,
        settings=settings,
        acknowledged=acknowledged,
    )


def settings_of(options: OnlineOptions) -> dict[str, Any]:
    """What decides about every build with models."""
    prompts = {name: prompt(name).sha256 for name in PROMPTS}
    return {**options.told(), "offline": False, "seed": options.scan.seed, "prompts": prompts}


def finished_before(folder: BuildFolder, progress: Progress) -> Built | None:
    """The build in that folder, where it is complete."""
    built = finished(folder)
    if built is not None:
        progress.remark(f"This build was complete already; nothing was done again. Folder: {folder.path}")
    return built


def convert_plan(
    plan: ScanPlan,
    folder: BuildFolder,
    manifest: BuildManifest,
    options: OnlineOptions,
    progress: Progress,
    command: str,
    *,
    all_leak: bool = False,
    warnings: Sequence[str] = (),
) -> Built:
    """Scan, convert, finish. `all_leak`: the pairs are queries that say all, made to be rewritten. `warnings`: for the
    summary."""
    check_models(options)
    if not any(is_content_detector(detector.spec.name) for detector in plan.detectors):
        raise ConfigurationError(
            "no detector of content overlap takes part", "Leave out --detectors, or name description_overlap too."
        )
    before = replace(plan, options=with_spent(plan.options, spent(manifest.spend)))
    run = execute(before, progress, command)
    try:
        names, manifest = _convert(plan, run, folder, manifest, options, progress, all_leak=all_leak)
    except BaseException:
        left = folder.manifest()
        folder.write_manifest(left.model_copy(update={"state": "interrupted"}))
        raise
    told = (*warnings_of(options), *warnings)
    return Finish(
        folder, manifest, plan, run, names, progress, command, told, _publishing(folder, plan, run, options, progress)
    ).built()


def _publishing(
    folder: BuildFolder, plan: ScanPlan, run: RunFolder, options: OnlineOptions, progress: Progress
) -> Publishing:
    generator = options.benign_maker()
    return Publishing(
        folder,
        options.publish,
        name=plan.name,
        seed=options.scan.seed,
        limits=plan.limits,
        generator=None if generator is None else KeptImages(generator, options.scan.cache),
        judge=TwinJudging(folder, options, progress, spent(run.manifest().spend)),
    )


def with_spent(scan: ScanOptions, elsewhere: Spent) -> ScanOptions:
    """So much less is left of the budget."""
    return replace(scan, gateway=replace(scan.gateway, spent=scan.gateway.spent + elsewhere))


def warnings_of(options: OnlineOptions) -> list[str]:
    """What a reader must know of who was asked."""
    told = []
    if options.panel == (options.editor,):
        told.append("The model that rewrote the texts also judged them; name others with --judges.")
    elif len(options.panel) == 1:
        told.append("One judge decided whether texts are safe; a panel of several families errs less.")
    if options.eyes == options.editor:
        told.append("The model that rewrote the texts also judged the pairs; name another with --vision.")
    return told


def _convert(
    plan: ScanPlan,
    run: RunFolder,
    folder: BuildFolder,
    manifest: BuildManifest,
    options: OnlineOptions,
    progress: Progress,
    *,
    all_leak: bool,
) -> tuple[tuple[str, ...], BuildManifest]:
    """Records of all pairs; the names of the detectors that looked, and the manifest with what was spent."""
    scan, cache = options.scan, options.scan.cache
    reader = _Reader(plan, run, folder, all_leak=all_leak)
    elsewhere = spent(run.manifest().spend)
    with ExitStack() as stack:
        store = stack.enter_context(FeatureStore(cache / "features.sqlite" if cache else None))
        needs = frozenset({Need.OCR}) if Need.OCR in plan.needs else frozenset({Need.PIXELS})
        pipeline = stack.enter_context(ImagePipeline(plan.source.root, needs, store, plan.limits, scan.workers))
        opened = stack.enter_context(session(folder, manifest, options, progress, elsewhere))
        lens = ContentLens(run)
        conversion = _conversion(options, opened, lens, folder, pipeline)
        progress.stage("Rewriting", reader.n_pairs, "pairs")
        drafts = Drafts(folder, opened, reader.open_batches(), lambda one: _record(one, reader, conversion), _broken)
        opened.carry_out(drafts.run(), lambda: reader.skipped + drafts.done)
    return lens.names, folder.manifest()


def _conversion(
    options: OnlineOptions,
    opened: Session,
    lens: ContentLens,
    folder: BuildFolder,
    pipeline: ImagePipeline,
) -> Conversion:
    show = folder.image_part

    async def facts(image: BuiltImage) -> ImageFacts:
        file = folder.image_file(image.digest, image.format)
        data = await asyncio.to_thread(file.read_bytes)
        return await asyncio.wrap_future(pipeline.submit(ImageRef(file.name, data=data)))

    pictures = Pictures(options, opened.images, folder, opened, show) if opened.images is not None else None
    return Conversion(options, opened, Overlap(lens, facts), show, pictures)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A pair whose image is read when its turn comes."""

    pair: Pair
    facts: tuple[ImageFacts, ...]
    leaks: bool | None
    content: tuple[Finding, ...]


async def _record(one: _Waiting, reader: _Reader, conversion: Conversion) -> Record:
    return await conversion.record(await asyncio.to_thread(reader.found, one))


def _broken(one: _Waiting, error: Exception) -> Record:
    draft = Draft(one.pair.id, one.pair.text, category=one.pair.category, source=one.pair)
    reason = f"a defect of vsil-audit: {type(error).__name__}: {error}"
    return Record(draft, Fate.UNDECIDED, reason=reason, source_text=one.pair.text)


class _Reader:
    """Pairs of the source with what the scan found of them, batch by batch."""

    def __init__(self, plan: ScanPlan, run: RunFolder, out: BuildFolder, *, all_leak: bool) -> None:
        self._plan, self._run, self._out, self._all_leak = plan, run, out, all_leak
        self.n_pairs = sum(map(run.n_pairs, range(run.n_batches())))
        self.skipped = 0

    def open_batches(self) -> Iterator[tuple[int, Sequence[_Waiting]]]:
        """Those that have no records yet."""
        for raw in raw_batches(self._plan.source, self._plan.options):
            if self._out.has_records(raw.index):
                self.skipped += len(raw.pairs)
            else:
                yield raw.index, list(self._waiting(raw))

    def _waiting(self, raw: RawBatch) -> Iterator[_Waiting]:
        facts = self._run.read_batch(raw.index).images
        by_pair: dict[str, list[Finding]] = {pair.id: [] for pair in raw.pairs}
        for name in self._run.detectors():
            if registry.load(name).spec.unit is not Unit.PAIR:
                continue
            for finding in self._run.findings(name, raw.index):
                if finding.pair_id in by_pair:
                    by_pair[finding.pair_id].append(finding)
        for pair, own in zip(raw.pairs, facts, strict=True):
            found = by_pair[pair.id]
            content = tuple(f for f in found if is_content_detector(f.detector))
            yield _Waiting(pair, own, True if self._all_leak else leaks(found), content)

    def found(self, one: _Waiting) -> Found:
        """The pair with its image; reads and writes files."""
        subject = source_pair(one.pair, one.facts, self._plan.source.root, self._plan.limits)
        return Found(subject, draft_of(subject, self._out), one.leaks, one.content)


def leaks(findings: Sequence[Finding]) -> bool | None:
    """Whether a scan's findings say that the text tells too much: LEAK of the judges, or SUSPECTED by content. None
    where nothing does and the judges failed, or neither they nor any content detector could look."""
    if any(finding.verdict in (Verdict.LEAK, Verdict.SUSPECTED) for finding in findings):
        return True
    judged = [finding for finding in findings if registry.load(finding.detector).spec.lens is Lens.JUDGED]
    if any(isinstance(finding.outcome, Failed) for finding in judged):
        return None
    content = (finding for finding in findings if is_content_detector(finding.detector))
    return False if any(isinstance(finding.outcome, Scored) for finding in (*judged, *content)) else None
