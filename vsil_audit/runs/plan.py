"""What a scan is going to do, settled before it starts: which detectors, which features, which folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from vsil_audit.detectors import registry
from vsil_audit.detectors.base import CLIP_MODEL, EMBEDDING_MODEL, Detector, DetectorSpec, Lens, Need, Readiness
from vsil_audit.detectors.chat import AskOptions, ChatDetector, Condition
from vsil_audit.detectors.registry import AnyDetector
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip.gpu_decoding import check_decoding
from vsil_audit.features.clip.model import DEFAULT_CLIP, ClipSettings, clip_readiness, find_clip
from vsil_audit.gateway.settings import GatewaySettings
from vsil_audit.images import ImageLimits
from vsil_audit.places.addresses import Place
from vsil_audit.places.mirror import image_root
from vsil_audit.prompts import prompt
from vsil_audit.runs.arrow import canonical_json
from vsil_audit.runs.fingerprint import Fingerprint, fingerprint
from vsil_audit.runs.manifest import RunConfig
from vsil_audit.runs.reader import ReaderSettings
from vsil_audit.sources.base import Source
from vsil_audit.sources.registry import open_source
from vsil_audit.sources.views import chosen_view

BATCH_PAIRS = 256
RUNS_FOLDER = "vsil-audit-runs"
EVALUATION = "evaluation"
"""Name of the detector that evaluates models. It takes part in no scan."""

_LOOK_AT_PIXELS = frozenset({Need.PIXELS, Need.OCR})

LOCAL, RAY = "local", "ray"
"""Engines: where a run's work is done. No part of its configuration: what one began another continues."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What the user asked for. `detectors` None: all that are ready here. `output` None: a folder below
    `vsil-audit-runs/` whose name depends on the data and the configuration, so that a rerun finds its run again.
    `embedding_model`: folder of a sentence-transformers model, for the similarity in description_overlap. `ask`: which
    models are asked, and what; none, unless they are named. `gateway`: where, how fast, for how much. `clip`: the CLIP
    model of the detectors that need one, and how it is run; None: the usual one, where it is on this machine.
    `engine`: LOCAL or RAY. `ray_address`: of the cluster; None: that of $RAY_ADDRESS, else one is started here."""

    detectors: tuple[str, ...] | None = None
    skip: tuple[str, ...] = ()
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    output: Place | None = None
    overwrite: bool = False
    allow_remote: bool = False
    max_pixels: int = ImageLimits().max_pixels
    workers: int | None = None
    cache: Path | None = None
    batch_pairs: int = BATCH_PAIRS
    embedding_model: Path | None = None
    clip: ClipSettings | None = None
    ask: AskOptions = field(default_factory=AskOptions)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    engine: str = LOCAL
    ray_address: str | None = None


@dataclass(frozen=True, slots=True)
class NotRun:
    """A detector that does not take part: `unavailable` here (with the remedy) or `skipped` by the user."""

    name: str
    state: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ScanPlan:
    source: Source
    name: str
    options: ScanOptions
    detectors: tuple[type[Detector], ...]
    not_run: tuple[NotRun, ...]
    config: RunConfig
    fingerprint: Fingerprint
    folder: Place
    chat_detectors: tuple[type[ChatDetector], ...] = ()
    control: Source | None = None
    view_counts: dict[str, int] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset(need for spec in self.specs for need in spec.needs)

    @property
    def specs(self) -> tuple[DetectorSpec, ...]:
        """Of the detectors that take part, those that ask models last."""
        return (*(d.spec for d in self.detectors), *(d.spec for d in self.chat_detectors))

    @property
    def evaluates(self) -> bool:
        """Whether this is an evaluation of models, and no audit of the benchmark."""
        return any(d.spec.name == EVALUATION for d in self.chat_detectors)

    @property
    def limits(self) -> ImageLimits:
        return ImageLimits(max_pixels=self.options.max_pixels, allow_remote=self.options.allow_remote)

    @property
    def clip(self) -> ClipSettings | None:
        """Which CLIP model, and how; None when no detector needs one."""
        return _clip(self.options, self.needs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user asked for and does not get, in words."""
        asked, taken = self.options.clip, self.clip
        if asked is None or taken is None or asked.decode == taken.decode:
            return ()
        others = ", ".join(spec.name for spec in self.specs if spec.needs & _LOOK_AT_PIXELS)
        return (f"Images are not decoded on the GPU: {others} must see them too, and each is decoded once for all.",)

    @property
    def reader(self) -> ReaderSettings:
        """How batches of this scan are read."""
        options = self.options
        return ReaderSettings(
            root=image_root(self.source.root),
            needs=self.needs,
            limits=self.limits,
            workers=options.workers,
            cache=options.cache,
            keep_embedded=bool(self.chat_detectors),
            clip=self.clip,
        )


def plan_scan(source: Source, name: str, options: ScanOptions) -> ScanPlan:
    """Resolve detectors against what is ready here. Raises ConfigurationError when nothing is left to run."""
    _check(options)
    _check_conditions(options.ask)
    options = replace(options, ask=replace(options.ask, seed=options.seed))
    detectors, not_run = _resolve(options)
    offline = tuple(cast("type[Detector]", d) for d in detectors if Need.CHAT not in d.spec.needs)
    chat = tuple(cast("type[ChatDetector]", d) for d in detectors if Need.CHAT in d.spec.needs)
    config = _config(source, options, detectors, control := _control(options) if chat else None)
    mark = fingerprint(source)
    folder = options.output or _folder(_safe_name(name, source), config, mark)
    return ScanPlan(source, name, options, offline, not_run, config, mark, folder, chat, control)


def plan_evaluation(source: Source, name: str, options: ScanOptions) -> ScanPlan:
    """The plan of a run that evaluates models (`options.ask`) and has no other detector.

    Raises ConfigurationError when nobody is to be evaluated, for options that contradict the protocol, and for a safety
    prompt that cannot be read.
    """
    from vsil_audit.detectors.model_evaluation.image_classifier import version
    from vsil_audit.detectors.model_evaluation.protocol import check_protocol
    from vsil_audit.detectors.model_evaluation.safety_prompts import safety_prompts

    _check(options)
    options = replace(options, ask=replace(options.ask, seed=options.seed))
    evaluation = cast("type[ChatDetector]", registry.load(EVALUATION))
    if not options.ask.targets and not options.ask.image_classifiers:
        raise ConfigurationError("no model was named to evaluate", "vsil-audit evaluate PATH --model PROVIDER/MODEL")
    check_protocol(options.ask)
    before = {one.variant: one.sha256 for one in safety_prompts(options.ask.safety_prompts)}
    classifiers = {f"image classifier {name}": version(name) for name in options.ask.image_classifiers}
    control = _control(options)
    config = _config(source, options, (evaluation,), control)
    config = config.model_copy(
        update={"prompts": config.prompts | before, "detector_options": config.detector_options | classifiers}
    )
    mark = fingerprint(source)
    folder = options.output or _folder(f"{_safe_name(name, source)}-{EVALUATION}", config, mark)
    return ScanPlan(source, name, options, (), (), config, mark, folder, (evaluation,), control)


def _config(
    source: Source, options: ScanOptions, detectors: Sequence[AnyDetector], control: Source | None
) -> RunConfig:
    asking = [cast("type[ChatDetector]", d) for d in detectors if Need.CHAT in d.spec.needs]
    return RunConfig(
        layout=source.layout,
        view=source.view,
        columns=mapping_as_text(source),
        detectors=[d.spec.name for d in detectors],
        detector_versions={d.spec.name: d.spec.version for d in detectors},
        limit=options.limit,
        sample=options.sample,
        seed=options.seed,
        allow_remote=options.allow_remote,
        max_pixels=options.max_pixels,
        batch_size=options.batch_pairs,
        detector_options=_detector_options(options, frozenset(need for d in detectors for need in d.spec.needs)),
        asking=_asking(options, control) if asking else {},
        prompts={name: prompt(name).sha256 for d in asking for name in d.prompts},
    )


def _folder(name: str, config: RunConfig, mark: Fingerprint) -> Path:
    return Path(RUNS_FOLDER) / f"{name}-{_short_hash(config, mark)}"


def mapping_as_text(source: Source) -> dict[str, str]:
    """The roles of the source's columns that are filled, for run.json and reports."""
    mapping = source.mapping
    names = [field for field in type(mapping).__dataclass_fields__ if field != "reasons"]
    return {name: value for name in names if (value := getattr(mapping, name)) is not None}


def _clip(options: ScanOptions, needs: frozenset[Need]) -> ClipSettings | None:
    """Where other detectors look at the pixels, those for CLIP come from the same decode, and no GPU decodes any."""
    if Need.CLIP not in needs:
        return None
    settings = options.clip or ClipSettings()
    return replace(settings, decode="cpu") if needs & _LOOK_AT_PIXELS else settings


def _detector_options(options: ScanOptions, needs: frozenset[Need]) -> dict[str, str]:
    """What detectors are told of the user's wishes, by the detector's own name for them; and all that decides CLIP's
    vectors, so that another model is another configuration."""
    model = options.embedding_model
    chosen = {EMBEDDING_MODEL: str(model.resolve())} if model is not None else {}
    if (settings := _clip(options, needs)) is not None:
        chosen |= {CLIP_MODEL: settings.model, "clip_space": find_clip(settings.model).space(settings)}
    return chosen


def _control(options: ScanOptions) -> Source | None:
    """The benign benchmark that the user named; None for the one in the package."""
    return open_source(Path(options.ask.control)) if options.ask.control is not None else None


def _asking(options: ScanOptions, control: Source | None) -> dict[str, Any]:
    """What is asked and of whom, as run.json keeps it: all that decides what the answers are."""
    asked = asdict(options.ask)
    for name in ("conditions", "safety_prompt_conditions"):
        asked[name] = [condition.value for condition in asked[name]]
    asked["base_url"] = options.gateway.base_url
    asked["control_fingerprint"] = fingerprint(control).content if control is not None else "shipped"
    return cast("dict[str, Any]", json.loads(canonical_json(asked)))


def _check(options: ScanOptions) -> None:
    if options.limit is not None and options.sample is not None:
        raise ConfigurationError(
            "--limit and --sample exclude each other", "Give --limit for the first pairs or --sample for random ones."
        )
    if options.engine not in (LOCAL, RAY):
        raise ConfigurationError(f"there is no engine {options.engine!r}", f"Choose {LOCAL} or {RAY}.")
    if options.ray_address is not None and options.engine != RAY:
        raise ConfigurationError("--ray-address is for --engine ray alone", "Add --engine ray, or leave it out.")
    if options.clip is not None:
        check_decoding(options.clip)
    for name, value in (("--limit", options.limit), ("--sample", options.sample), ("--workers", options.workers)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{name} must be at least 1, not {value}")


def _check_conditions(ask: AskOptions) -> None:
    foreign = [c.value for c in ask.conditions if c in (Condition.CAPTION, Condition.IMAGE)]
    if foreign:
        raise ConfigurationError(
            f"a scan has no condition {foreign[0]!r}", f"vsil-audit evaluate PATH --conditions {','.join(foreign)} has."
        )


def _resolve(options: ScanOptions) -> tuple[tuple[AnyDetector, ...], tuple[NotRun, ...]]:
    known = registry.available()
    for name in (*(options.detectors or ()), *options.skip):
        registry.load(name)  # an unknown name is an error before any work
        if name not in known:
            raise ConfigurationError(
                f"{name} takes part in no scan",
                "Evaluate models with `vsil-audit evaluate PATH --model PROVIDER/MODEL`.",
            )
    ready: list[AnyDetector] = []
    not_run: list[NotRun] = []
    for name in known:
        if options.detectors is not None and name not in options.detectors:
            not_run.append(NotRun(name, "skipped", "not among --detectors"))
            continue
        if name in options.skip:
            not_run.append(NotRun(name, "skipped", "left out with --skip"))
            continue
        detector = registry.load(name)
        readiness = _readiness(detector, options)
        if readiness.ready:
            ready.append(detector)
        elif Need.CLIP in detector.spec.needs and (options.detectors is not None or options.clip is not None):
            raise ConfigurationError(f"{name} cannot run: {readiness.reason}", readiness.remedy)
        else:
            not_run.append(NotRun(name, "unavailable", readiness.reason, readiness.remedy))
    if not ready:
        reasons = "; ".join(f"{n.name}: {n.reason}" for n in not_run)
        raise ConfigurationError(f"no detector is left to run ({reasons})", _first_remedy(not_run))
    return tuple(ready), tuple(not_run)


def _readiness(detector: AnyDetector, options: ScanOptions) -> Readiness:
    """Whether it can run here; one that asks models needs some to be named."""
    readiness = readiness_here(detector, (options.clip or ClipSettings()).model)
    if not readiness.ready or Need.CHAT not in detector.spec.needs:
        return readiness
    if cast("type[ChatDetector]", detector).models(options.ask):
        return readiness
    return Readiness(ready=False, reason="no model was named for it", remedy=command_that_names(detector.spec))


def readiness_here(detector: AnyDetector, clip: str = DEFAULT_CLIP) -> Readiness:
    """Whether all is here that it needs; a detector that needs CLIP needs the model called `clip`."""
    readiness = detector.readiness()
    return clip_readiness(clip) if readiness.ready and Need.CLIP in detector.spec.needs else readiness


def command_that_names(spec: DetectorSpec) -> str:
    """The command that names models for a detector that asks some."""
    option = "--targets" if spec.lens is Lens.BEHAVIOURAL else "--judges"
    return f"vsil-audit scan PATH {option} PROVIDER/MODEL"


def _first_remedy(not_run: Sequence[NotRun]) -> str:
    return next((n.remedy for n in not_run if n.remedy), "Choose others with --detectors, or fewer with --skip.")


def _safe_name(name: str, source: Source) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".-") or "dataset"
    usual = chosen_view(source.views, None, source.layout).name if source.views else source.view
    return kept[:60] if source.view == usual else f"{kept[:60]}-{source.view}"


def _short_hash(config: RunConfig, mark: Fingerprint) -> str:
    text = canonical_json([config.model_dump(mode="json"), mark.content])
    return hashlib.sha256(text.encode()).hexdigest()[:10]
