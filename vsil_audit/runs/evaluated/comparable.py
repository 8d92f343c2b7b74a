"""Which evaluations may stand in one table, and what keeps the others apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsil_audit.detectors.chat import Condition
from vsil_audit.detectors.model_evaluation import captions
from vsil_audit.detectors.response_judge import PROMPT
from vsil_audit.detectors.responses import CAPTION_FRAME
from vsil_audit.errors import ConfigurationError
from vsil_audit.runs.asked.columns import EVALUATION
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.summary import DatasetSummary
from vsil_audit.runs.wholeness import check_whole

_CAPTION_PROMPTS = (CAPTION_FRAME, captions.PROMPT)
_CAPTIONS, _SWAPS = Condition.CAPTION.value, Condition.SWAPPED.value


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """A finished evaluation, read. `settings`: what must be equal for two of them to be compared, by what it is called
    in a remark, each as canonical JSON."""

    folder: RunFolder
    manifest: Manifest
    dataset: DatasetSummary
    evaluation: Evaluation
    settings: dict[str, str]


def read_run(folder: RunFolder) -> EvaluationRun:
    """Raises ConfigurationError for a run that evaluated no models, RunFolderError for one that is not whole."""
    check_whole(folder)
    summary, manifest = folder.summary(), folder.manifest()
    if summary.evaluation is None or not summary.evaluation.rows:
        raise ConfigurationError(
            f"{folder.path} holds no evaluation of models", "Name runs that `vsil-audit evaluate` wrote."
        )
    found = _settings(manifest, summary.evaluation)
    settings = {name: json.dumps(value, sort_keys=True) for name, value in found.items()}
    return EvaluationRun(folder, manifest, summary.dataset, summary.evaluation, settings)


def _settings(manifest: Manifest, found: Evaluation) -> Mapping[str, Any]:
    """What only some conditions depend on is a setting of the runs that have them."""
    config, asking = manifest.config, manifest.config.asking
    answered = ("max_tokens", "temperature", "samples", "image_side")
    settings: dict[str, Any] = {
        "data": [manifest.fingerprint, config.layout, config.view, config.split, config.columns],
        "choice of pairs": [config.limit, config.sample, config.seed if config.sample else 0, config.allow_remote],
        "protocol": [asking.get("protocol"), *(asking.get(name) for name in answered)],
        "judge": [asking.get("response_judges"), config.prompts.get(PROMPT), config.detector_versions[EVALUATION]],
        "benign control": [asking.get("control_fingerprint"), config.seed if asking.get("control") else 0],
    }
    if _CAPTIONS in found.conditions:
        settings["captioner"] = [asking.get("captioner"), *(config.prompts.get(name) for name in _CAPTION_PROMPTS)]
    if _SWAPS in found.conditions:
        settings["choice of swapped images"] = config.seed
    for variant in {row.variant for row in found.rows if row.variant}:
        settings[f"text of the {variant}"] = config.prompts.get(variant, config.prompts.get(_shipped(variant)))
    return settings


def _shipped(variant: str) -> str:
    return variant.replace(" ", "_")


@dataclass(slots=True)
class Comparable:
    """Runs whose settings do not contradict each other, as places in the list of runs."""

    settings: dict[str, str]
    runs: list[int]

    def differs_in(self, other: Mapping[str, str]) -> list[str]:
        return [name for name, value in self.settings.items() if other.get(name, value) != value]


def comparable(runs: Sequence[EvaluationRun]) -> list[Comparable]:
    """Every run joins the first group that it agrees with, in the order given."""
    groups: list[Comparable] = []
    for place, run in enumerate(runs):
        group = next((group for group in groups if not group.differs_in(run.settings)), None)
        if group is None:
            groups.append(Comparable(dict(run.settings), [place]))
        else:
            group.settings |= run.settings
            group.runs.append(place)
    return groups
