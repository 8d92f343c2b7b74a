"""Which detectors there are: ours, and those that installed packages add under an entry-point group.

Names are looked up without importing any detector; `load` imports the one that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from vsil_audit.detectors.base import Detector, Need
from vsil_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from vsil_audit.detectors.chat import ChatDetector

ENTRY_POINT_GROUP = "vsil_audit.detectors"

BUILT_IN = MappingProxyType(
    {
        "hygiene": "vsil_audit.detectors.hygiene:Hygiene",
        "ocr_overlap": "vsil_audit.detectors.ocr_overlap:OcrOverlap",
        "clip_overlap": "vsil_audit.detectors.clip_overlap:ClipOverlap",
        "description_overlap": "vsil_audit.detectors.description_overlap:DescriptionOverlap",
        "topic_probe": "vsil_audit.detectors.topic_probe:TopicProbe",
        "harm_prior": "vsil_audit.detectors.harm_prior:HarmPrior",
        "text_refusal": "vsil_audit.detectors.text_refusal:TextRefusal",
        "safety_judge": "vsil_audit.detectors.safety_judge:SafetyJudge",
        "llm_judge": "vsil_audit.detectors.llm_judge:LlmJudge",
    }
)

OF_OTHER_COMMANDS = MappingProxyType({"evaluation": "vsil_audit.detectors.model_evaluation:ModelEvaluation"})
"""What takes part in no scan, and runs under a command of its own; its findings are stored like any detector's."""

AnyDetector: TypeAlias = "type[Detector] | type[ChatDetector]"

_PARTS = ("spec", "readiness", "prepare", "score", "conclude")
_CHAT_PARTS = ("spec", "readiness", "prompts", "examines", "models", "prepare", "canaries", "examine", "finding")


def available() -> list[str]:
    """Names of all detectors of a scan: ours in the order of a report, then third parties' by name.

    Raises ConfigurationError when two packages claim one name, or one claims a name of ours.
    """
    return [name for name in _targets() if name not in OF_OTHER_COMMANDS]


def load(name: str) -> AnyDetector:
    """The detector class called `name`, imported now; one that needs CHAT is a ChatDetector.

    Raises ConfigurationError for an unknown name, and for an entry point that cannot be imported or is no detector.
    """
    targets = _targets()
    if name not in targets:
        raise ConfigurationError(f"there is no detector called {name!r}", _did_you_mean(name, available()))
    target = targets[name]
    try:
        module, _, attribute = target.partition(":")
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the detector {name!r} cannot be loaded from {target}: {error}",
            "Reinstall or remove the package that provides it, or leave the detector out with --skip.",
        ) from error
    return _checked(name, target, found)


def load_offline(name: str) -> type[Detector]:
    """`load` of a detector that asks no models. Raises ConfigurationError for one that does."""
    found = load(name)
    if Need.CHAT in found.spec.needs:
        raise ConfigurationError(f"the detector {name!r} asks models and cannot run in a process of its own")
    return cast("type[Detector]", found)


def _checked(name: str, target: str, found: Any) -> AnyDetector:
    asks_models = Need.CHAT in getattr(getattr(found, "spec", None), "needs", ())
    missing = [part for part in (_CHAT_PARTS if asks_models else _PARTS) if not hasattr(found, part)]
    is_class = isinstance(found, type)
    if missing or not is_class:
        what = f"it lacks {', '.join(missing)}" if missing else "it is not a class"
        raise ConfigurationError(
            f"{target} is no detector: {what}",
            "See vsil_audit.detectors.base.Detector and chat.ChatDetector for what one has.",
        )
    if found.spec.name != name:
        raise ConfigurationError(
            f"{target} is registered as {name!r} and calls itself {found.spec.name!r}",
            "The entry point's name and spec.name must be the same.",
        )
    return cast("AnyDetector", found)


def _targets() -> dict[str, str]:
    """Name → `module:Class`, ours first."""
    targets = {**BUILT_IN, **OF_OTHER_COMMANDS}
    for point in sorted(_installed(), key=lambda p: (p.name, p.value)):
        if point.name in targets:
            raise ConfigurationError(
                f"two detectors are called {point.name!r}: {targets[point.name]} and {_provider(point)}",
                "Remove one of the packages, or ask its author to choose another name.",
            )
        targets[point.name] = point.value
    return targets


def _installed() -> Iterable[EntryPoint]:
    """Entry points of the group, each once: a package found twice on the path lists the same one twice."""
    return {(p.name, p.value): p for p in entry_points(group=ENTRY_POINT_GROUP)}.values()


def _provider(point: EntryPoint) -> str:
    return f"{point.value} of {point.dist.name}" if point.dist else point.value


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(name.lower().replace("-", "_").replace(" ", "_"), names, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Detectors: {', '.join(names)}."
