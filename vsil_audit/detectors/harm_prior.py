"""Offline stand-in for J(text): how likely a text alone is refused or judged harmful, *predicted* by a small model.

The model sees words, not meaning, and was trained on a few thousand short English texts (harm_model/README.md). So it
abstains where it is unsure, its rate on benign controls stands beside its rate on the set, and it never says LEAK.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import ClassVar

from vsil_audit.detectors.base import Batch, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.detectors.harm_model.model import HarmModel, Part, Prediction, Standing
from vsil_audit.detectors.harm_model.set_rates import Tally, adjusted_finding, control_finding, overlap_finding
from vsil_audit.pair import Abstained, Evidence, Finding, Json, Pair, Scored, Verdict

_PACKAGE = "vsil_audit.detectors.harm_model"

SHOWN_PARTS = 5
"""Words shown with what each adds to the logit."""

SHOWN_SPANS = 3
"""Passages marked in the text of a flagged pair."""


class HarmPrior:
    """Predicted probability that the text alone reads as harmful. One finding a pair, and three of the set:
    `predicted_rate_control`, `predicted_rate_adjusted` and `training_overlap`."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="harm_prior",
        asks="Would the text alone be refused or judged harmful, as a small offline model predicts?",
        lens=Lens.PREDICTED,
        unit=Unit.PAIR,
        needs=frozenset({Need.TEXT}),
        value="predicted probability that the text alone reads as harmful, in [0, 1], at equal odds before reading",
        version=1,
        limits=(
            "It sees English words, not meaning, and learnt from a few thousand short texts; it abstains where it is "
            "unsure. A prediction is no judgement: read the rate beside that of the benign controls."
        ),
    )

    def __init__(self, model: HarmModel | None = None, controls: Sequence[tuple[str, str]] | None = None) -> None:
        """`model` and `controls` (text, kind) are the shipped ones unless given."""
        self._given = model
        self._controls = controls
        self._context: SetContext | None = None

    @classmethod
    def readiness(cls) -> Readiness:
        if files(_PACKAGE).joinpath("weights.npz").is_file():
            return Readiness(ready=True)
        return Readiness(
            ready=False,
            reason="the model file detectors/harm_model/weights.npz is missing from the installation",
            remedy="pip install --force-reinstall vsil-audit",
        )

    def prepare(self, context: SetContext) -> None:
        self._context = context

    def score(self, batch: Batch) -> Iterator[Finding]:
        model = self._given or shipped_model()
        for pair in batch.pairs:
            yield self._finding(pair, model)

    def conclude(self) -> Iterator[Finding]:
        context = self._context
        if context is None:
            return
        model = self._given or shipped_model()
        controls = shipped_controls() if self._controls is None else self._controls
        numbered = list(enumerate(controls))
        of_controls = Tally.of(model, ((text, i) for i, (text, _) in numbered))
        of_kinds = {
            kind: Tally.of(model, ((text, i) for i, (text, its) in numbered if its == kind))
            for kind in sorted({kind for _, kind in controls})
        }
        in_set = Tally.of(model, _texts_and_groups(context), context.seed)
        yield control_finding(self.spec.name, of_controls, of_kinds)
        yield adjusted_finding(self.spec.name, in_set, of_controls)
        yield overlap_finding(self.spec.name, in_set)

    def _finding(self, pair: Pair, model: HarmModel) -> Finding:
        prediction = model.predict(pair.text)
        standing = model.standing(prediction)
        details = _details(prediction, model)
        if not standing.told:
            return Finding(self.spec.name, pair.id, Abstained(standing.value))
        if not standing.decided:
            return Finding(self.spec.name, pair.id, Abstained(standing.value), details=details)
        if standing is Standing.CLEAR:
            return Finding(self.spec.name, pair.id, Scored(prediction.p), Verdict.CLEAR, details=details)
        evidence = _evidence(pair.text, prediction.parts)
        outcome = Scored(prediction.p)
        return Finding(self.spec.name, pair.id, outcome, Verdict.PREDICTED, "reads_as_harmful", evidence, details)


@lru_cache(maxsize=1)
def shipped_model() -> HarmModel:
    """The model in the package. Raises OSError or ValueError when its file is missing or damaged."""
    return HarmModel.from_bytes(files(_PACKAGE).joinpath("weights.npz").read_bytes())


@lru_cache(maxsize=1)
def shipped_controls() -> tuple[tuple[str, str], ...]:
    """(text, kind) of the benign control texts in the package; none of them was trained on."""
    table = files(_PACKAGE).joinpath("controls.csv").read_text(encoding="utf-8")
    return tuple((row["text"], row["kind"]) for row in csv.DictReader(io.StringIO(table)))


def _texts_and_groups(context: SetContext) -> Iterator[tuple[str, int]]:
    texts = (pair.text for batch in context.read() for pair in batch.pairs)
    for place, text in enumerate(texts):
        yield text, int(context.for_intervals[place])


def _details(prediction: Prediction, model: HarmModel) -> dict[str, Json]:
    strongest = sorted(prediction.parts, key=lambda part: -abs(part.adds))[:SHOWN_PARTS]
    details: dict[str, Json] = {
        "probability": round(prediction.p, 4),
        "interval": [round(prediction.low, 4), round(prediction.high, 4)],
        "unsure_between": [model.calibration.clear_below, model.calibration.flag_from],
        "top": [[part.word.normal, round(part.adds, 3)] for part in strongest],
        "content_words": prediction.content,
        "known_words": prediction.known,
        "seen_in_training": prediction.seen,
    }
    if prediction.windows_in_all > 1:
        details |= {
            "words": prediction.words,
            "windows": prediction.windows,
            "windows_in_all": prediction.windows_in_all,
            "note": "a long text: the probability is that of its highest window, and was not calibrated on long texts",
        }
    return details


def _evidence(text: str, parts: Sequence[Part]) -> tuple[Evidence, ...]:
    """The words that most speak for harm, neighbours joined into one passage, in the order of the text."""
    raising = sorted((part for part in parts if part.adds > 0), key=lambda part: -part.adds)[:SHOWN_SPANS]
    spans: list[tuple[int, int]] = []
    for start, end in sorted((part.word.start, part.word.end) for part in raising):
        if spans and not text[spans[-1][1] : start].strip():
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return tuple(Evidence(start, end, text[start:end], "text") for start, end in spans)
