"""What became of each pair that the builder took in: one record, complete enough to tell why, as a line of JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from vsil_audit.builders.draft import BuiltImage, Draft, Step
from vsil_audit.builders.gates.base import GateResult, Vote


class Fate(str, Enum):
    """KEPT: it did not leak, and is passed on as it was. BUILT: made or rewritten, and through every gate. REJECTED:
    stopped by a gate. UNDECIDED: a gate, an editor or a generator failed or could not look, so nothing can be said.
    UNFIXED: it leaks and could not be rewritten, or cannot be in a set as it is (no image, no text)."""

    KEPT = "kept"
    BUILT = "built"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    UNFIXED = "unfixed"

    @property
    def emitted(self) -> bool:
        return self in (Fate.KEPT, Fate.BUILT)


@dataclass(frozen=True, slots=True)
class Record:
    """`draft` as it was at the end, `gates` in the order in which they looked (of the last attempt), `attempts` those
    of candidates that were given up before, `reason` in words. `source_text`: what the text was before."""

    draft: Draft
    fate: Fate
    gates: tuple[GateResult, ...] = ()
    attempts: tuple[tuple[GateResult, ...], ...] = ()
    reason: str = ""
    source_text: str = ""

    @property
    def stopped_by(self) -> str:
        """The letter of the gate that did not let it pass; empty when all did, or none was reached."""
        return next((result.gate for result in self.gates if result.passed is not True), "")

    def to_json(self) -> dict[str, Any]:
        """Without the source pair: of that, its id, where it stands and its text are kept."""
        fields: dict[str, Any] = {
            name: getattr(self.draft, name) for name in _DRAFT_FIELDS if getattr(self.draft, name) is not None
        }
        fields["image"] = None if self.draft.image is None else asdict(self.draft.image)
        fields["steps"] = [asdict(step) for step in self.draft.steps]
        source = self.draft.source
        return {
            "fate": self.fate.value,
            "reason": self.reason,
            "source_text": self.source_text,
            "source": None if source is None else {"id": source.id, "origin": str(source.origin)},
            "draft": fields,
            "gates": [_gate(result) for result in self.gates],
            "attempts": [[_gate(result) for result in attempt] for attempt in self.attempts],
        }

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> Record:
        """The reverse, but for the source pair. Raises KeyError, TypeError or ValueError for anything else."""
        fields = dict(kept["draft"])
        image, steps = fields.pop("image"), fields.pop("steps")
        draft = Draft(
            **fields,
            image=None if image is None else BuiltImage(**image),
            steps=tuple(Step(**step) for step in steps),
        )
        return cls(
            draft,
            Fate(kept["fate"]),
            tuple(map(_read_gate, kept["gates"])),
            tuple(tuple(map(_read_gate, attempt)) for attempt in kept["attempts"]),
            kept["reason"],
            kept["source_text"],
        )


_DRAFT_FIELDS = (
    "id",
    "text",
    "description",
    "category",
    "subcategory",
    "label",
    "label_assumed",
    "twin_of",
    "safety_reason",
)


def _gate(result: GateResult) -> dict[str, Any]:
    return asdict(result)


def _read_gate(kept: dict[str, Any]) -> GateResult:
    votes = tuple(Vote(**vote) for vote in kept["votes"])
    return GateResult(kept["gate"], kept["passed"], kept["reason"], votes)
