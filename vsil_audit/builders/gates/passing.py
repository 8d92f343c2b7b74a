"""A draft before one gate after the other, until one does not let it pass."""

from __future__ import annotations

from collections.abc import Sequence

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import Gate, GateResult
from vsil_audit.builders.gates.minors import NoMinors
from vsil_audit.detectors.chat import Ask


async def through(gates: Sequence[Gate], draft: Draft, ask: Ask) -> tuple[GateResult, ...]:
    """The results up to the first that is no pass; all gates let it pass where the last result does."""
    results: list[GateResult] = []
    for gate in gates:
        if isinstance(gate, NoMinors) and not gate.looks_at(draft):
            continue
        results.append(await gate.judge(draft, ask))
        if results[-1].passed is not True:
            break
    return tuple(results)


def passed(results: Sequence[GateResult]) -> bool | None:
    """True where all did, None where one could not decide."""
    return next((result.passed for result in results if result.passed is not True), True)
