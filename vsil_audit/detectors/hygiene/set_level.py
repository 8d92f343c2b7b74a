"""What is to be said of the set as a whole. Each finding becomes a metric `hygiene.KIND`, its note `details.note`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vsil_audit.detectors.hygiene import labels
from vsil_audit.detectors.hygiene.census import Census
from vsil_audit.detectors.hygiene.kinds import ISSUE_KINDS
from vsil_audit.detectors.hygiene.lookalikes import duplicate_images
from vsil_audit.detectors.hygiene.repeats import RepeatedTexts, groups, many
from vsil_audit.detectors.hygiene.templates import Frame
from vsil_audit.pair import Finding, Json, Scored, Verdict

_WITHOUT_IMAGE = 0.5


def set_findings(
    census: Census,
    *,
    frames: Sequence[tuple[Frame, int]],
    set_wide: Mapping[str, int],
    texts: RepeatedTexts,
    alike: int,
    shared_by_splits: str,
) -> Iterator[Finding]:
    """At most one finding of a kind. `frames`: sentences with a slot and their counts. `set_wide`: kinds of text
    problem that most queries show. `texts`: queries that repeat others. `alike`: images
    drawn in one form. `shared_by_splits`: what splits that are no parts have in common."""
    yield from _templates(census, frames)
    copies = texts.n_same + texts.n_near
    listed = len(texts.same) + len(texts.near)
    if copies > listed:
        note = (
            f"{texts.n_same:,} repeat a query, {texts.n_near:,} nearly repeat one; {listed:,} are listed pair by pair"
        )
        yield _share("repeated_texts", copies, census.n_texts, census.n_pairs, note)
    if set_wide:
        note = ", ".join(f"{kind.replace('_', ' ')} in {count:,}" for kind, count in set_wide.items())
        yield _share(
            "set_wide_form", max(set_wide.values()), census.n_texts, census.n_pairs, f"{note}; not listed pair by pair"
        )
    yield from _images(census, alike)
    yield from _categories(census)
    if shared_by_splits:
        yield _count("splits_share_content", 0, "pairs", shared_by_splits)


def _templates(census: Census, frames: Sequence[tuple[Frame, int]]) -> Iterator[Finding]:
    sizes = sorted((len(group) for group in groups(census.text) if len(group) >= many(census.n_pairs)), reverse=True)
    covered = max([sum(sizes), *(count for _, count in frames)], default=0)
    if not covered:
        return
    parts = [f"one sentence in {size:,} pairs" for size in sizes[:3]]
    parts += [f"“{frame}” in {count:,}" for frame, count in frames]
    yield _share("template_text", covered, census.n_texts, census.n_pairs, "; ".join(parts))


def _images(census: Census, alike: int) -> Iterator[Finding]:
    several, names = duplicate_images(census)
    if several:
        yield _count("duplicate_images", several, "images", f"{several:,} images under {names:,} names")
    if alike:
        yield _count(
            "similar_images", alike, "images", "they look alike by design; near-duplicates are not listed among them"
        )
    without = int(np.count_nonzero(census.n_images == 0))
    if without >= _WITHOUT_IMAGE * census.n_pairs and census.n_pairs:
        yield _share("pairs_without_image", without, census.n_pairs, census.n_pairs, "")
    if census.remote:
        yield _share("remote_images", census.remote, census.n_pairs, census.n_pairs, "")


def _categories(census: Census) -> Iterator[Finding]:
    codes = census.categories
    if labels.is_free_text(codes, census.n_pairs):
        more = "more than " if codes.overflowed else ""
        note = f"{more}{len(codes.names):,} values in {census.n_pairs:,} pairs"
        yield _count("category_is_free_text", len(codes.names), "values", note)
        return
    found = labels.imbalance(census)
    if found is not None:
        ratio, most, least, n_most, n_least = found
        note = f"{n_most:,} pairs of {most!r}, {n_least:,} of {least!r}" if ratio > 1 else f"{n_most:,} pairs of each"
        verdict = Verdict.ISSUE if ratio >= labels.IMBALANCED_FROM else Verdict.NONE
        tells = "pairs of the largest category over pairs of the smallest"
        yield _finding("category_imbalance", ratio, verdict, {"unit": "ratio", "note": note, "tells": tells})


def _share(kind: str, k: int, n: int, total: int, note: str) -> Finding:
    """k of the n pairs that could be looked at, of `total`."""
    details: dict[str, Json] = {"unit": "share", "k": k, "n": n, "total": total, "note": note}
    return _finding(kind, k / n, _verdict(kind), details)


def _count(kind: str, k: int, unit: str, note: str) -> Finding:
    return _finding(kind, float(k), _verdict(kind), {"unit": unit, "note": note})


def _verdict(kind: str) -> Verdict:
    """What only tells how a set is made is no problem of it."""
    return Verdict.NONE if ISSUE_KINDS[kind].severity == "info" else Verdict.ISSUE


def _finding(kind: str, value: float, verdict: Verdict, details: dict[str, Json]) -> Finding:
    known = ISSUE_KINDS[kind]
    words: dict[str, Json] = {"tells": known.tells, "remedy": known.remedy, "severity": known.severity}
    return Finding("hygiene", None, Scored(value), verdict, kind, (), {**words, **details})
