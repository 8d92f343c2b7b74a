"""How a gate hears several judges: each is asked, each vote is kept, and a rule makes one decision of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from vsil_audit.builders.gates.base import GateResult, Vote

PASS, REJECT, FAILED = "pass", "reject", "failed"


class Rule(str, Enum):
    """UNANIMOUS: every judge must let it pass. MAJORITY: more than half of those that were asked."""

    UNANIMOUS = "unanimous"
    MAJORITY = "majority"


async def hear(
    gate: str, judges: Sequence[str], vote: Callable[[str], Awaitable[Vote]], rule: Rule = Rule.UNANIMOUS
) -> GateResult:
    """Ask all judges at once. A judge that failed is no vote: the gate decides only where its vote could not have
    changed the decision."""
    votes = tuple(await asyncio.gather(*map(vote, judges)))
    return GateResult(gate, decided(votes, rule), _reason(votes), votes)


def decided(votes: Sequence[Vote], rule: Rule) -> bool | None:
    """None where the judges that failed could have decided otherwise, or none was asked."""
    passed = sum(vote.verdict == PASS for vote in votes)
    rejected = sum(vote.verdict == REJECT for vote in votes)
    if not votes:
        return None
    if rule is Rule.UNANIMOUS:
        if rejected:
            return False
        return True if passed == len(votes) else None
    if 2 * passed > len(votes):
        return True
    return False if 2 * (len(votes) - rejected) <= len(votes) else None


def _reason(votes: Sequence[Vote]) -> str:
    """Why it did not pass, in the words of those who said so; empty where all let it pass."""
    against = [vote for vote in votes if vote.verdict == REJECT] or [vote for vote in votes if vote.verdict == FAILED]
    return "; ".join(dict.fromkeys(vote.says for vote in against if vote.says))
