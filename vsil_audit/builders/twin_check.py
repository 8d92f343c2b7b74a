"""Whether twins can be made at all, told before any work is done."""

from __future__ import annotations

from collections import Counter

from vsil_audit.builders.probe import plain
from vsil_audit.builders.publishing import SetOptions
from vsil_audit.builders.twins import SAFE
from vsil_audit.errors import ConfigurationError
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.reading import raw_batches
from vsil_audit.sources.base import Source
from vsil_audit.wording import plural

_REMEDY = "Name a folder of benign images, or a benign benchmark, with --pool."


def no_images() -> ConfigurationError:
    """Of a build in which no pair could have a benign twin."""
    return ConfigurationError("no benign image is here that a twin could have: no pool is named", _REMEDY)


def check_twins(publish: SetOptions, source: Source, scan: ScanOptions, progress: Progress, *, draws: bool) -> None:
    """For a build in which no benign image is generated. `draws`: pairs without image get a card of drawn words, and
    such a card has a benign one beside it without any pool.

    Reads the pairs, and opens no image. Raises ConfigurationError where no pair could have a benign counterpart, and
    tells of those that will have none where others have.
    """
    if publish.twins is None or publish.pool is not None:
        return
    photographs: Counter[str] = Counter()
    safe: Counter[str] = Counter()
    cards = 0
    for pair in (pair for raw in raw_batches(source, scan) for pair in raw.pairs):
        text = plain(pair.text)
        if (pair.label or "").casefold() == SAFE:
            safe[text] += 1
        elif pair.images or not draws:
            photographs[text] += 1
        else:
            cards += 1
    lacking = sum(max(0, count - safe[text]) for text, count in photographs.items())
    if lacking and not cards and lacking == photographs.total():
        raise no_images()
    if lacking:
        progress.remark(f"{plural(lacking, 'pair')} will have no benign twin, and be left out. {_REMEDY}")
