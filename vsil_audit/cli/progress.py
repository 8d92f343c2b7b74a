"""Progress on a terminal (bars with rate and time left) or in a log (plain lines)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vsil_audit.reporting.untrusted import visible
from vsil_audit.runs.progress import Progress as ProgressListener
from vsil_audit.runs.progress import Silent

_LOG_EVERY_SECONDS = 10.0


@contextmanager
def progress_on(console: Console, *, quiet: bool) -> Iterator[ProgressListener]:
    """Whatever suits where the output goes; `console` is the one for messages (standard error)."""
    if quiet:
        yield Silent()
    elif console.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, name: str, total: int | None, unit: str) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total)

    def advance(self, steps: int) -> None:
        if self._task is not None:
            self._bars.advance(self._task, steps)

    def remark(self, text: str) -> None:
        self._bars.console.print(Text(visible(text), style="dim"))


class _Lines:
    """One line when a stage begins, and then one every ten seconds, with the speed since the line before."""

    def __init__(self) -> None:
        self._name, self._unit = "", ""
        self._total: int | None = None
        self._done = self._done_then = 0
        self._said = self._then = time.monotonic()

    def stage(self, name: str, total: int | None, unit: str) -> None:
        self._name, self._total, self._unit, self._done = name, total, unit, 0
        self._said = time.monotonic()
        click.echo(f"{name}{f' ({total:,} {unit})' if total is not None else ''} …", err=True)

    def advance(self, steps: int) -> None:
        now = time.monotonic()
        if not self._done:  # what an earlier session did comes at once, and is no measure of speed
            self._done_then, self._then = steps, now
        self._done += steps
        if now - self._said < _LOG_EVERY_SECONDS:
            return
        rate = (self._done - self._done_then) / (now - self._then) if now > self._then else 0.0
        of = f" of {self._total:,}" if self._total is not None else ""
        left = f", {_time(self._total - self._done, rate)} left" if self._total is not None and rate else ""
        click.echo(f"{self._name}: {self._done:,}{of} {self._unit}, {rate:.1f}/s{left}", err=True)
        self._done_then, self._then = self._done, now
        self._said = now

    def remark(self, text: str) -> None:
        click.echo(visible(text), err=True)


def _time(steps: int, rate: float) -> str:
    """`42 s`, `7 min`, `3.5 h`: how long so many steps take."""
    seconds = steps / rate
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
