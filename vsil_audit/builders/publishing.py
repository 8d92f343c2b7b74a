"""From records to what is published: which pairs are in the set, with what twins; its proof, card and report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vsil_audit.builders.balance import balance
from vsil_audit.builders.card import CARD, UNKNOWN, card
from vsil_audit.builders.clip_likeness import ClipLikeness
from vsil_audit.builders.draft import Draft
from vsil_audit.builders.emission import source_of
from vsil_audit.builders.folder import BuildFolder, BuildManifest
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.generators.base import ImageGenerator
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.huggingface import is_saved, write_saved_dataset
from vsil_audit.builders.pool import ImagePool, Likeness, PlainLikeness
from vsil_audit.builders.probe import probed, prove
from vsil_audit.builders.record import Record
from vsil_audit.builders.selection import finished_records, left_out, twin_of, twins, write_selection
from vsil_audit.builders.summarise import summarise
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.builders.twins import TwinMaker, TwinWay, judged
from vsil_audit.features.clip.model import DEFAULT_CLIP, clip_readiness
from vsil_audit.gateway.blocking import GatewayThread
from vsil_audit.images import ImageLimits
from vsil_audit.runs.folder import write_atomically

REPORT = "report.html"
NO_CLIP = "none"


@dataclass(frozen=True, slots=True)
class SetOptions:
    """`pool`: folder of benign images, or a benign benchmark, for twins; `clip`: CLIP model that says which look alike,
    NO_CLIP for none, and by default the usual one where it is here.
    `balance`: leave pairs out until style says nothing of where a pair is from. `licence`: of the source, as the card
    names it. `hf`: also write the set as `datasets.save_to_disk` would."""

    twins: TwinWay | None = None
    pool: Path | None = None
    clip: str = ""
    balance: bool = False
    licence: str = UNKNOWN
    hf: bool = False

    def told(self) -> dict[str, Any]:
        """What of it decides which pairs come out, for the build's manifest."""
        told: dict[str, Any] = {"twins": None, "balance": self.balance}
        if self.twins is not None:
            told |= {"twins": self.twins.value, "pool": None}
        if self.twins is not None and self.pool is not None:
            told |= {"pool": _listing(self.pool), "likeness": self.clip_model or PlainLikeness.name}
        return told

    @property
    def clip_model(self) -> str:
        """The CLIP model that looks; empty for none."""
        if self.clip:
            return "" if self.clip == NO_CLIP else self.clip
        return DEFAULT_CLIP if clip_readiness(DEFAULT_CLIP).ready else ""


def _listing(pool: Path) -> str:
    """sha256 hex over names and sizes of the pool's files."""
    files = [pool] if pool.is_file() else sorted(path for path in pool.rglob("*") if path.is_file())
    lines = (f"{file.relative_to(pool).as_posix()}\t{file.stat().st_size}\n" for file in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


class Publishing:
    """What joins and leaves one build's set, and all that is written about it."""

    def __init__(
        self,
        folder: BuildFolder,
        options: SetOptions,
        *,
        name: str,
        seed: int,
        drawer: Typographic | None = None,
        limits: ImageLimits | None = None,
        generator: ImageGenerator | None = None,
        judge: Callable[[Sequence[Draft]], Sequence[GateResult]] | None = None,
    ) -> None:
        """`generator`: of benign images for which the pool has none. `judge`: gate D, for twins; None: nobody looks."""
        self._folder, self._options, self._name, self._seed = folder, options, name, seed
        self._drawer, self._limits = drawer or Typographic(), limits or ImageLimits()
        self._generator, self._judge = generator, judge

    @cached_property
    def _pool(self) -> ImagePool | None:
        if self._options.twins is None or self._options.pool is None:
            return None
        return ImagePool(self._options.pool, self._likeness, self._limits)

    @cached_property
    def _likeness(self) -> Likeness:
        return ClipLikeness(self._options.clip_model) if self._options.clip_model else PlainLikeness()

    def select(self) -> None:
        """Choose anew from the records what is in the set, and make the twins: before every `emit`."""
        records = [record for record in self._folder.records() if record.fate.emitted]
        gone: dict[str, str] = {}
        if self._options.balance:
            gone |= balance(records, lambda record: source_of(record, self._name), self._seed).left_out
        rest = [record for record in records if record.draft.id not in gone]
        made: tuple[Record, ...] = ()
        if self._options.twins is not None:
            maker = TwinMaker(
                self._folder, self._drawer, self._limits, self._seed, pool=self._pool, generator=self._generator
            )
            with GatewayThread() as thread:  # a notebook's own thread has a loop already
                found = thread.carry_out(maker.make(rest, self._options.twins))
            found = found if self._judge is None else judged(found, self._judge)
            made, gone = found.records, gone | found.left_out
        write_selection(self._folder, made, gone)

    def of_pairs(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        """Findings by id, those of twins at the pairs that they stand beside: neither is there without the other."""
        base = {record.draft.id: twin_of(record) for record in twins(self._folder)}
        moved: dict[str, list[str]] = {}
        for name, by in found.items():
            told = [f"{detector} (of its twin)" for detector in by] if name in base else by
            moved.setdefault(base.get(name, name), []).extend(told)
        return moved

    def summary(self, summary: BuildSummary) -> BuildSummary:
        """With the twins, what was left out, and the proof."""
        in_set = list(finished_records(self._folder))
        proof = prove(probed(in_set), self._seed)
        reasons = Counter(left_out(self._folder).values())
        way = self._options.twins
        gates = summarise(twins(self._folder), command="convert", name="", before=None, after=None).gates
        warnings = []
        if self._pool is not None and self._pool.unreadable:
            warnings.append(f"{self._pool.unreadable:,} images of the pool could not be opened.")
        return summary.model_copy(
            update={
                "emitted": len(in_set),
                "twins": sum(bool(twin_of(record)) for record in in_set),
                "twins_way": way.value if way is not None else "",
                "left_out": dict(reasons.most_common()),
                "gates": [*summary.gates, *gates],
                "proof": list(proof.metrics),
                "proof_note": proof.note,
                "warnings": [*summary.warnings, *warnings],
            }
        )

    def publish(self, manifest: BuildManifest, summary: BuildSummary) -> None:
        """Write card, report and, where asked for, the saved data set, as far as they are not there yet."""
        from vsil_audit.reporting.build_page import render_build

        root = self._folder.path
        if self._options.hf and not is_saved(root):
            write_saved_dataset(root)
        _write_changed(root / CARD, card(root, manifest, summary, self._options.licence))
        if not (root / REPORT).is_file() or manifest.state != "complete":
            _write_changed(root / REPORT, render_build(self._folder, summary))


def _write_changed(file: Path, text: str) -> None:
    data = text.encode("utf-8", "replace")
    if not file.is_file() or file.read_bytes() != data:
        write_atomically(file, data)
