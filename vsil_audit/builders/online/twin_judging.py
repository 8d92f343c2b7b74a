"""Gate D for the twins of a build with models: the judge that sees looks at each benign combination."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.gates.benign_image import BenignImage
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.online.session import LeftOpenError, Session, session
from vsil_audit.gateway.meter import Spent
from vsil_audit.runs.progress import Progress

_Key: TypeAlias = "tuple[str, str]"


class TwinJudging:
    """Called with twins, returns gate D's results in their order; what it was asked before it asks no more.
    `elsewhere`: what the build's scans spent, which counts against the budget."""

    def __init__(self, folder: BuildFolder, options: OnlineOptions, progress: Progress, elsewhere: Spent) -> None:
        self._folder, self._options = folder, replace(options, generator=None)
        self._progress, self._elsewhere = progress, elsewhere
        self._known: dict[_Key, GateResult] = {}

    def __call__(self, twins: Sequence[Draft]) -> list[GateResult]:
        """Raises NoProviderError or BudgetReachedError where some could not be asked about; the next call goes on."""
        new = {_key(draft): draft for draft in twins if _key(draft) not in self._known}
        if new:
            self._progress.stage("Judging benign twins", len(new), "pairs")
            before = len(self._known)
            with session(
                self._folder, self._folder.manifest(), self._options, self._progress, self._elsewhere
            ) as opened:
                opened.carry_out(self._judge(new, opened), lambda: len(self._known) - before)
        return [self._known[_key(draft)] for draft in twins]

    async def _judge(self, new: Mapping[_Key, Draft], opened: Session) -> None:
        options = self._options
        gate = BenignImage((options.eyes,), self._folder.image_part, options.rule, options.scan.seed)
        slots = asyncio.Semaphore(2 * opened.concurrency)

        async def one(key: _Key, draft: Draft) -> None:
            async with slots:
                self._known[key] = await gate.judge(draft, opened.ask)

        found = await asyncio.gather(*(one(*item) for item in new.items()), return_exceptions=True)
        broken = [error for error in found if isinstance(error, BaseException)]
        if any(not isinstance(error, LeftOpenError) for error in broken):
            raise next(error for error in broken if not isinstance(error, LeftOpenError))
        if broken:
            opened.check()


def _key(draft: Draft) -> _Key:
    return draft.text, draft.image.digest if draft.image is not None else ""
