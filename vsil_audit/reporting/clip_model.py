"""Which CLIP model a run used, in words: what its numbers rest on."""

from __future__ import annotations

from collections.abc import Sequence

from vsil_audit.detectors.base import CLIP_MODEL
from vsil_audit.features.clip.model import inexact
from vsil_audit.reporting.untrusted import fold
from vsil_audit.runs.manifest import RunConfig


def clip_model(config: RunConfig) -> str:
    """`ViT-B-32:openai`, and what was not exact about it; empty where the run used none."""
    name = config.detector_options.get(CLIP_MODEL, "")
    what = inexact(_space(config))
    return fold(name, 80) + (f" ({what}: not exact)" if name and what else "")


def different_clip_models(configs: Sequence[RunConfig]) -> list[str]:
    """A warning where runs took their vectors from different models, or from one at different precision."""
    used = [config for config in configs if _space(config)]
    if len({_space(config) for config in used}) < 2:
        return []
    named = ", ".join(dict.fromkeys(clip_model(config) for config in used))
    rests = "clip_overlap rests on different models, weights or precision of CLIP in these runs"
    return [f"{rests} ({named}): its numbers may not be comparable."]


def _space(config: RunConfig) -> str:
    """All that decides a vector (`ClipModel.space`)."""
    return config.detector_options.get("clip_space", "")
