"""A scan from plan to summary: reading, detecting, summarising; resumable at every point."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from datetime import datetime, timezone
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vsil_audit.errors import RunFolderError
from vsil_audit.gateway import BudgetReachedError, NoProviderError
from vsil_audit.places.addresses import Place
from vsil_audit.places.mirror import shown
from vsil_audit.runs.asking import check_models
from vsil_audit.runs.engine import at_work, check_engine
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.locking import locked
from vsil_audit.runs.manifest import Manifest, RunState
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.summarise import summarise

_PACKAGES = (
    "numpy", "pyarrow", "pillow", "scikit-learn", "rapidocr", "onnxruntime", "sentence-transformers",
    "open_clip_torch", "torch", "openvino",
)  # fmt: skip


def execute(plan: ScanPlan, progress: Progress, command: str = "") -> RunFolder:
    """Run the plan, or what is left of it, and return its complete folder.

    Raises RunFolderError when the folder holds another run, is in use or cannot be written. On KeyboardInterrupt
    everything committed is kept and the manifest says `interrupted`; the same call continues.
    """
    folder = RunFolder(plan.folder)
    with locked(plan.folder, _LOCK, "scan"):
        if plan.options.overwrite or not folder.exists() or folder.manifest().state is not RunState.COMPLETE:
            check_models(plan)
            check_engine(plan.options)
        started = time.monotonic()
        try:
            manifest = _begin(plan, folder, command, progress)
            if manifest.state is RunState.COMPLETE:
                progress.remark(f"This run was complete already; nothing was done again. Folder: {plan.folder}")
                return folder
            for note in plan.notes:
                progress.remark(note)
            with at_work(plan.options) as work:
                n_batches = work.read_pairs(plan, folder, progress)
                n_pairs = folder.pairs_in(n_batches)
                known = {"state": RunState.DETECTING, "pairs": n_pairs, "batches": n_batches}
                manifest = manifest.model_copy(update=known)
                folder.write_manifest(manifest)
                work.detect(plan, folder, n_pairs, progress)
                manifest = work.ask_models(plan, folder, manifest, progress)
            progress.stage("Summing up", None, "")
            folder.write_summary(summarise(plan, folder))
        except (KeyboardInterrupt, NoProviderError, BudgetReachedError):
            _interrupted(folder, started)
            raise
        done = {"state": RunState.COMPLETE, "finished": _now(), "seconds": _seconds(manifest, started)}
        folder.write_manifest(manifest.model_copy(update=done))
        return folder


def _interrupted(folder: RunFolder, started: float) -> None:
    """Say so in the folder, if the run has begun there."""
    if folder.exists() and (left := folder.manifest()).state is not RunState.COMPLETE:
        so_far = {"state": RunState.INTERRUPTED, "seconds": _seconds(left, started)}
        folder.write_manifest(left.model_copy(update=so_far))


def _begin(plan: ScanPlan, folder: RunFolder, command: str, progress: Progress) -> Manifest:
    """The manifest to go on with: the folder's own when it is this very run, else a new one in an empty folder."""
    if folder.exists():
        if plan.options.overwrite:
            _empty(plan.folder)
        else:
            return _continued(plan, folder, command, progress)
    elif plan.folder.is_dir():
        if not all(p.name == _LOCK or fnmatch(p.name, _UNFINISHED_MANIFEST) for p in plan.folder.iterdir()):
            raise RunFolderError(
                f"{plan.folder} is not empty and holds no run", "Choose a new or empty folder with --output."
            )
        folder.remove_rests()
    return _new(plan, folder, command)


def _new(plan: ScanPlan, folder: RunFolder, command: str) -> Manifest:
    manifest = Manifest(
        tool_version=version("vsil-audit"),
        state=RunState.READING,
        dataset_path=shown(plan.source.root),
        dataset_name=plan.name,
        fingerprint=plan.fingerprint.content,
        stamp=plan.fingerprint.stamp,
        config=plan.config,
        command=command,
        packages=_package_versions(),
        started=_now(),
    )
    folder.write_manifest(manifest)
    return manifest


def _continued(plan: ScanPlan, folder: RunFolder, command: str, progress: Progress) -> Manifest:
    found = folder.manifest()
    if found.fingerprint != plan.fingerprint.content:
        raise RunFolderError(
            f"{plan.folder} holds a run of other data ({found.dataset_name}, fingerprint {found.fingerprint[:12]}…; "
            f"this is {plan.name}, {plan.fingerprint.content[:12]}…)",
            "Choose another folder with --output, or give --overwrite to replace that run.",
        )
    if found.config != plan.config:
        raise RunFolderError(
            f"{plan.folder} holds a run with another configuration: {_differences(found, plan)}",
            "Choose another folder with --output, or give --overwrite to replace that run.",
        )
    if found.stamp != plan.fingerprint.stamp:
        progress.remark("Image files have changed since this folder was written; the run starts anew.")
        _empty(plan.folder)
        return _new(plan, folder, command)
    if found.state is not RunState.COMPLETE:
        folder.remove_rests()
        progress.remark(f"Continuing the run in {plan.folder}")
    return found


def _differences(found: Manifest, plan: ScanPlan) -> str:
    old, new = found.config.model_dump(mode="json"), plan.config.model_dump(mode="json")
    named = {name: (old[name], new[name]) for name in new if old[name] != new[name]}
    for name in _OF_PARTS:
        was, now = named.pop(name, ({}, {}))
        named |= {f"{part} ({name})": (was.get(part), now.get(part)) for part in {**was, **now}}
    return "; ".join(
        f"{name} was {_said(was)}, is now {_said(now)}" for name, (was, now) in named.items() if was != now
    )


_OF_PARTS = ("asking", "prompts", "columns", "detector_versions", "detector_options")


def _said(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = str(value)
    return "none" if value in (None, "") else f"{text[:12]}…" if _SHA256.fullmatch(text) else text


_SHA256 = re.compile(r"[0-9a-f]{64}")


_LOCK = ".lock"
_UNFINISHED_MANIFEST = ".run.json.*.tmp"  # all there is of a run that was killed while it began


def _empty(folder: Place) -> None:
    """Remove what a run wrote, run.json first, so that a half-removed run is never taken for a whole one."""
    (folder / "run.json").unlink(missing_ok=True)
    for name in ("findings", "observations", "embedded", "embeddings", "pairs", "problems", "images", "thumbnails"):
        below = folder / name
        shutil.rmtree(below, ignore_errors=True) if isinstance(below, Path) else below.remove_below()
    made = ("summary.json", "report.html", "report.json", "pairs.csv", "junit.xml")
    for name in (*made, "calibration.json", "calibration-draws.json"):
        (folder / name).unlink(missing_ok=True)


def _seconds(manifest: Manifest, started: float) -> float:
    """Of all sessions."""
    return round((manifest.seconds or 0.0) + time.monotonic() - started, 3)


def _package_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
