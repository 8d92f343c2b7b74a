"""`vsil-audit build`: a new set from a taxonomy or from images, by way of scenes that are then converted."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vsil_audit.audit import load
from vsil_audit.builders.emission import DATA, IMAGES
from vsil_audit.builders.finishing import Built, now
from vsil_audit.builders.folder import PROVENANCE, BuildFolder, BuildManifest
from vsil_audit.builders.online.convert import convert_plan, finished_before, scan_before, settings_of
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.online.scenarios import (
    CATEGORISE,
    FROM_IMAGE,
    FROM_TEXT,
    NoScene,
    Picture,
    Scene,
    Seed,
    elements,
    pictures,
)
from vsil_audit.builders.online.session import LeftOpenError, Session, check_models, session
from vsil_audit.builders.online.terms import acknowledge
from vsil_audit.builders.taxonomy import Taxonomy
from vsil_audit.builders.twin_check import no_images
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway.meter import Spent
from vsil_audit.images import ImageLimits
from vsil_audit.prompts import prompt
from vsil_audit.runs.folder import write_atomically
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.sources.base import SourceOptions

SCENES = "scenes"
"""Beside the records: what the build began with, a set in VLSBench's layout, whose texts say all."""

WITHOUT = "without-scene.jsonl"


def build(
    out: str | Path,
    options: OnlineOptions,
    *,
    taxonomy: Taxonomy,
    per_subcategory: int = 0,
    from_images: Path | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Built:
    """Build a set in the folder `out`: of `per_subcategory` queries for each sub-category of the taxonomy, or of the
    images in a folder, which are kept as they are. How many of these pass the gates is in the summary.

    A call with equal options continues one that was interrupted; nothing that was paid for is paid twice. Raises
    VsilAuditError of some kind, each with a remedy.
    """
    listener = progress or Silent()
    acknowledged = acknowledge(options.scan.cache, acknowledged=options.acknowledge_use)
    limits = ImageLimits(max_pixels=options.scan.max_pixels)
    if from_images is not None:
        options = replace(options, keep_images=True)
        seeds: Sequence[Seed] = pictures(from_images, taxonomy, limits)
    else:
        seeds = list(elements(taxonomy, per_subcategory))
    _check(options, seeds, from_images)
    name = taxonomy.name if from_images is None else from_images.resolve().name
    folder = BuildFolder(Path(out))
    mark = _mark(taxonomy, seeds, from_images)
    with folder.locked():
        manifest = folder.begin(_manifest(name, mark, options, command, acknowledged=acknowledged))
        if (built := finished_before(folder, listener)) is not None:
            return built
        check_models(options)
        manifest, warnings = _scenes(folder, manifest, options, seeds, listener)
        source = load(folder.path / PROVENANCE / SCENES, options=SourceOptions(layout="vlsbench"))
        plan = scan_before(source, name, folder, options)
        return convert_plan(plan, folder, manifest, options, listener, command, all_leak=True, warnings=warnings)


def _check(options: OnlineOptions, seeds: Sequence[Seed], from_images: Path | None) -> None:
    if not seeds:
        raise ConfigurationError("nothing says how many queries to build", "Give --per-subcategory N.")
    if from_images is None and not options.makes_images:
        raise ConfigurationError(
            "a set that begins with a taxonomy needs an image generator", "Name one with --image-generator."
        )
    if options.publish.twins is not None and options.publish.pool is None and options.benign_maker() is None:
        raise no_images()


def _mark(taxonomy: Taxonomy, seeds: Sequence[Seed], from_images: Path | None) -> str:
    """What the build is made of, as a digest."""
    told: Any = [taxonomy.model_dump(mode="json"), [seed.id for seed in seeds]]
    if from_images is not None:
        files = [from_images / seed.name for seed in seeds if isinstance(seed, Picture)]
        told.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _manifest(name: str, mark: str, options: OnlineOptions, command: str, *, acknowledged: bool) -> BuildManifest:
    scan = options.scan
    asked = {one: prompt(one).sha256 for one in (FROM_TEXT, FROM_IMAGE, CATEGORISE)}
    return BuildManifest(
        command="build",
        name=name,
        tool_version=version("vsil-audit"),
        command_line=command,
        started=now(),
        fingerprint=mark,
        settings={**settings_of(options), "scene_prompts": asked, "limit": scan.limit, "sample": scan.sample},
        acknowledged=acknowledged,
    )


def _scenes(
    folder: BuildFolder, manifest: BuildManifest, options: OnlineOptions, seeds: Sequence[Seed], progress: Progress
) -> tuple[BuildManifest, list[str]]:
    """The scenes as a set on disk, asked for where it is not there; the manifest with what was spent, and what to warn
    of."""
    root = folder.path / PROVENANCE / SCENES
    if not (root / DATA).is_file():
        with session(folder, manifest, options, progress, Spent()) as opened:
            asking = _Asking(root, options, seeds, opened)
            progress.stage("Thinking of scenes", len(seeds), "questions")
            opened.carry_out(asking.run(), lambda: len(asking.found))
        _write(root, [(seed, asking.found[seed.id]) for seed in seeds])
    without = [json.loads(line) for line in (root / WITHOUT).read_text(encoding="utf-8").splitlines()]
    if len(without) == len(seeds):
        kinds = Counter(one["reason"] for one in without).most_common(3)
        raise ConfigurationError(
            f"no question brought a scene: {'; '.join(f'{count} times {reason}' for reason, count in kinds)}",
            "Name another --editor or --vision, in a new folder.",
        )
    told = f"{len(without)} of {len(seeds)} questions for scenes brought none; why stands in {SCENES}/{WITHOUT}."
    return folder.manifest(), [told] if without else []


@dataclass(slots=True)
class _Asking:
    """Questions for scenes, many at a time."""

    root: Path
    options: OnlineOptions
    seeds: Sequence[Seed]
    session: Session
    found: dict[str, Scene | NoScene] = field(default_factory=dict)
    left_open: bool = False

    async def run(self) -> None:
        slots = asyncio.Semaphore(2 * self.session.concurrency)
        await asyncio.gather(*(self._one(seed, slots) for seed in self.seeds))
        if self.left_open:
            self.session.check()

    async def _one(self, seed: Seed, slots: asyncio.Semaphore) -> None:
        async with slots:
            if self.left_open:
                return
            model = self.options.eyes if isinstance(seed, Picture) else self.options.editor
            try:
                scene = await seed.scene(model, self.session.ask)
            except LeftOpenError:
                self.left_open = True
                return
            self.found[seed.id] = scene if isinstance(scene, NoScene) else await asyncio.to_thread(self._kept, scene)

    def _kept(self, scene: Scene) -> Scene:
        """Its image on disk instead of in memory."""
        if scene.data is None:
            return scene
        path = f"{IMAGES}/{hashlib.sha256(scene.data).hexdigest()[:16]}.{scene.format.lower()}"
        write_atomically(self.root / path, scene.data)
        return replace(scene, data=None, image=path)


def _write(root: Path, scenes: Sequence[tuple[Seed, Scene | NoScene]]) -> None:
    """In VLSBench's layout, `data.json` last."""
    (root / IMAGES).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for seed, scene in scenes:
        if isinstance(scene, NoScene):
            continue
        for number, query in enumerate(scene.queries):
            rows.append(
                {
                    "instruction_id": f"{seed.id}-{number}",
                    "instruction": query,
                    "image_path": scene.image,
                    "category": scene.category,
                    "sub_category": scene.subcategory,
                    "source": "" if not isinstance(seed, Picture) else seed.name,
                    "image_description": scene.description,
                }
            )
    left = [{"seed": seed.id, "reason": scene.reason} for seed, scene in scenes if isinstance(scene, NoScene)]
    write_atomically(root / WITHOUT, "".join(json.dumps(one) + "\n" for one in left).encode())
    write_atomically(root / DATA, json.dumps(rows, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass"))
