"""Why nothing was scored, in one outcome of several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from vsil_audit.pair import Abstained, Failed, Outcome


def most_common_reason(outcomes: Iterable[Outcome]) -> Abstained | Failed | None:
    """The most common failure, else the most common abstention; None where there is neither."""
    listed = list(outcomes)
    failed = Counter(o for o in listed if isinstance(o, Failed))
    abstained = Counter(o for o in listed if isinstance(o, Abstained))
    ranked = (failed or abstained).most_common(1)
    return ranked[0][0] if ranked else None
