"""From the verdicts of a panel to one finding."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from vsil_audit.detectors.chat import Observation
from vsil_audit.detectors.llm_judge.verdict import EXPLICIT, IMPLICIT, KINDS, MOST_SPANS, NONE
from vsil_audit.pair import Abstained, Evidence, Failed, Finding, Json, Pair, Scored, Verdict

DISAGREE = "judges disagree"
_MOST_MATCHED = 300


def panel_finding(detector: str, pair: Pair, observations: Sequence[Observation]) -> Finding:
    """One finding of all judges and samples.

    Each judge has one vote, leak (implicit or explicit) or none: what more than half of its samples say. The majority
    of the votes decides; judges that failed or are torn have none. The value is the mean over judges of the mean over
    their samples. `reveals` and the kind are what most samples with a leak say; a tie gives `implicit`, the weaker
    claim, and the kind that stands first on the menu. Evidence: every passage that a sample with a leak quotes, those
    most often quoted first where there are more than 20; none where the majority sees no leak.
    """
    judges: dict[str, list[Observation]] = defaultdict(list)
    for o in observations:
        if isinstance(o.outcome, Scored):
            judges[o.model].append(o)
    details = _told(judges, observations)
    if not judges:
        return Finding(detector, pair.id, _why_not(observations), details=details)
    votes = [vote for scored in judges.values() if (vote := _vote(scored)) is not None]
    leaks = votes.count(True)
    if 2 * leaks == len(votes):
        return Finding(detector, pair.id, Abstained(DISAGREE), details=details)
    value = Scored(round(math.fsum(_mean(scored) for scored in judges.values()) / len(judges), 6))
    if 2 * leaks < len(votes):
        return Finding(detector, pair.id, value, Verdict.CLEAR, details=MappingProxyType({"reveals": NONE, **details}))
    leaking = [o for scored in judges.values() for o in scored if o.label != NONE]
    labels = Counter(o.label for o in leaking)
    reveals = EXPLICIT if labels[EXPLICIT] > labels[IMPLICIT] else IMPLICIT
    evidence = _evidence(pair.text, leaking)
    told: dict[str, Json] = {"reveals": reveals, **details}
    if reveals == EXPLICIT and not evidence:
        told["no_span"] = "the judges quote no phrase that occurs in the text"
    return Finding(detector, pair.id, value, Verdict.LEAK, _kind(leaking), evidence, MappingProxyType(told))


def _vote(scored: Sequence[Observation]) -> bool | None:
    leaks = sum(o.label != NONE for o in scored)
    return None if 2 * leaks == len(scored) else 2 * leaks > len(scored)


def _mean(scored: Sequence[Observation]) -> float:
    return math.fsum(o.outcome.value for o in scored if isinstance(o.outcome, Scored)) / len(scored)


def _kind(leaking: Sequence[Observation]) -> str:
    named = Counter(str(o.details.get("leak_kind", "")) for o in leaking)
    return max((kind for kind in KINDS if named[kind]), key=lambda kind: named[kind], default="")


def _evidence(text: str, leaking: Sequence[Observation]) -> tuple[Evidence, ...]:
    places: Counter[tuple[int, int]] = Counter()
    for o in leaking:
        places.update(_spans(o.details, len(text)))
    kept = sorted(places, key=lambda place: (-places[place], place))[:MOST_SPANS]
    return tuple(Evidence(start, end, text[start:end][:_MOST_MATCHED], "text") for start, end in sorted(kept))


def _spans(details: Mapping[str, Json], length: int) -> Iterator[tuple[int, int]]:
    """The places that an observation keeps, those that lie in a text of `length` characters."""
    listed = details.get("spans")
    for span in listed if isinstance(listed, list) else ():
        match span:
            case [int(start), int(end)] if 0 <= start < end <= length:
                yield start, end


def _told(judges: Mapping[str, Sequence[Observation]], observations: Sequence[Observation]) -> Mapping[str, Json]:
    """What each judge said, in a few words, and what the image adds by the surest of them."""
    told: dict[str, Json] = {}
    if observations and observations[0].condition != "pair":
        told["condition"] = observations[0].condition
    told["judges"] = {
        model: _said(model, judges, observations) for model in dict.fromkeys(o.model for o in observations)
    }
    scored = [o for listed in judges.values() for o in listed]
    dropped = sum(n for o in scored if isinstance(n := o.details.get("dropped_spans"), int))
    if dropped:
        told["dropped_spans"] = dropped
    adds = max(scored, key=_confidence, default=None)
    if adds is not None and adds.details.get("adds"):
        told["adds"] = adds.details["adds"]
    return MappingProxyType(told)


def _said(model: str, judges: Mapping[str, Sequence[Observation]], observations: Sequence[Observation]) -> str:
    """`explicit (0.9)`, `explicit 2, none 1`, or why there is no verdict."""
    scored = judges.get(model, ())
    if len(scored) == 1:
        return f"{scored[0].label} ({_confidence(scored[0]):g})"
    if scored:
        return ", ".join(f"{label} {n}" for label, n in sorted(Counter(o.label for o in scored).items()))
    outcome = _why_not([o for o in observations if o.model == model])
    return outcome.kind if isinstance(outcome, Failed) else outcome.reason


def _confidence(o: Observation) -> float:
    told = o.details.get("confidence")
    return float(told) if isinstance(told, (int, float)) else 0.0


def _why_not(observations: Sequence[Observation]) -> Abstained | Failed:
    """The first failure, else the first abstention."""
    for o in observations:
        if isinstance(o.outcome, Failed):
            return o.outcome
    for o in observations:
        if isinstance(o.outcome, Abstained):
            return o.outcome
    return Abstained("no judge was asked")
