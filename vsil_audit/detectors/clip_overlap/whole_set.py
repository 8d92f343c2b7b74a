"""What is said of the whole set: retrieval, bits, and the share of pairs tied to their own image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.blocks import deal
from vsil_audit.detectors.clip_overlap.independence import Independence, independence
from vsil_audit.detectors.clip_overlap.learning import Learned
from vsil_audit.detectors.clip_overlap.ranks import LEAST_IN_CATEGORY, Ranks
from vsil_audit.detectors.clip_overlap.standing import Standings
from vsil_audit.pair import Abstained, Finding, Json, Scored
from vsil_audit.stats.clusters import BOOTSTRAP, MANY, ON_CLUSTERS, ClusterSums, clustered_mean
from vsil_audit.stats.infonce import SHUFFLES, Bits, infonce
from vsil_audit.stats.information import permutation_null
from vsil_audit.stats.matched_share import matched_share
from vsil_audit.stats.proportions import WILSON, score_interval
from vsil_audit.stats.rates import Interval
from vsil_audit.stats.retrieval import Floats, expected_recall

CANDIDATES = 100
"""Images among which a text must find its own, in the whole set."""
CANDIDATES_IN_CATEGORY = 20
LEAST_CANDIDATES = 10
MOST_CATEGORIES = 50
WITHIN = "_within_category"


@dataclass(frozen=True, slots=True)
class _Scope:
    """The sampled pairs that can be looked at, in the set or within categories: `rows` of the sample. `single`: their
    standings by one image each. `strata`: of all sampled pairs, the stratum of each."""

    suffix: str
    where: str
    rows: npt.NDArray[np.int64]
    standings: Standings
    single: Standings
    strata: Sequence[str | None]
    candidates: int
    refusal: str


class WholeSet:
    """Set-level findings of the detector called `name`, from its sample of `n_pairs` pairs."""

    def __init__(self, name: str, learned: Learned, n_pairs: int, seed: int) -> None:
        self._name = name
        self._learned = learned
        self._n_pairs = n_pairs
        self._seed = seed
        self._together = independence(learned.sample)

    def findings(self, found: Ranks, single: Ranks, refusal: str) -> Iterator[Finding]:
        """`found`, `single`: of the sampled pairs, with all of their images and with one each. `refusal`: why there are
        none."""
        sample = self._learned.sample
        in_set = np.flatnonzero(found.scored)
        within = np.flatnonzero(found.scored & found.categorised)
        whole = _Scope(
            "", "in the set", in_set, found.in_set[in_set], single.in_set[in_set],
            ["" if scored else None for scored in found.scored], CANDIDATES, refusal,
        )  # fmt: skip
        categories = [
            pair.category if scored else None
            for pair, scored in zip(sample, found.scored & found.categorised, strict=True)
        ]
        inside = _Scope(
            WITHIN, "within its category", within, found.in_category[within], single.in_category[within], categories,
            CANDIDATES_IN_CATEGORY, refusal or f"no category has {LEAST_IN_CATEGORY + 1} images to compare",
        )  # fmt: skip
        yield self._least_share(found, refusal)
        yield self._by_set_alone(found, refusal)
        for scope in (whole, inside):
            bits, rows = self._bits(scope)
            yield self._share(scope)
            if scope.suffix:
                yield self._rank(scope, bits, rows)
            yield from self._recalls(scope)
            yield self._told(scope, bits, rows)

    # one quantity each

    def _least_share(self, found: Ranks, refusal: str) -> Finding:
        least = found.least_share()
        if least is None:
            return self._abstained("least_share", refusal or "too few images to compare with: no pair could be flagged")
        n = int(found.scored.sum())
        return self._finding("least_share", Interval(least, None, None, n, "none: counted, not estimated"), {
            "tells": "smallest share of overlapping pairs that a set of this size can show: of fewer, none is flagged",
            "unit": "share",
        })  # fmt: skip

    def _by_set_alone(self, found: Ranks, refusal: str) -> Finding:
        kind, n = "decided_by_set", int(found.scored.sum())
        if not n:
            return self._abstained(kind, refusal)
        categories = [pair.category is not None for pair in self._learned.sample]
        if not any(categories):
            return self._abstained(kind, "pairs have no categories: the set decides, where topic may be enough")
        share = float((found.scored & ~found.categorised & np.array(categories)).sum()) / n
        return self._finding(kind, Interval(share, None, None, n, "none: counted, not estimated"), {
            "tells": "share of pairs with too few images of their category: the set decides, where topic may be enough",
            "unit": "share",
        })  # fmt: skip

    def _share(self, scope: _Scope) -> Finding:
        kind = f"matched_share{scope.suffix}"
        if not len(scope.rows):
            return self._abstained(kind, scope.refusal)
        # by one image each: the best of several alike is taken for luckier than it is, and a set of such for untied
        return self._finding(kind, self._matched(scope.single, scope.rows), {
            "tells": f"share of pairs whose text is nearer to its own image than chance puts it, {scope.where}: "
            "at least so many are tied",
            "unit": "share",
            "chance": 0.0,
        }, self._together.note)  # fmt: skip

    def _rank(self, scope: _Scope, bits: Bits | None, rows: npt.NDArray[np.int64]) -> Finding:
        kind = f"rank{scope.suffix}"
        if not len(scope.rows):
            return self._abstained(kind, scope.refusal)
        mean = clustered_mean(scope.standings.share(), self._together.groups[scope.rows], self._seed)
        return self._finding(kind, mean, {
            "tells": f"share of other images {scope.where} that are farther from the text than its own",
            "unit": "auroc",
            "chance": 0.5,
            "categories": self._by_category(scope, bits, rows),
        }, self._together.note)  # fmt: skip

    def _recalls(self, scope: _Scope) -> Iterator[Finding]:
        single, rows = scope.single, scope.rows
        candidates = min(scope.candidates, 1 + int(np.quantile(single.of, 0.1, method="lower")) if len(rows) else 0)
        for k in (1, 5):
            kind = f"recall_at_{k}{scope.suffix}"
            if candidates < LEAST_CANDIDATES:
                yield self._abstained(kind, scope.refusal or f"fewer than {LEAST_CANDIDATES} images to choose from")
                continue
            enough = single.of >= candidates - 1
            some = single[enough]
            values = expected_recall(some.above, some.tied, some.of, k, candidates)
            yield self._finding(kind, _mean_share(values, self._together.groups[rows[enough]], self._seed), {
                "tells": f"share of texts whose own image is among the {k} nearest of {candidates} {scope.where}"
                if k > 1 else f"share of texts whose own image is the nearest of {candidates} {scope.where}",
                "unit": "share",
                "chance": k / candidates,
                "candidates": candidates,
            }, self._together.note)  # fmt: skip

    def _bits(self, scope: _Scope) -> tuple[Bits | None, npt.NDArray[np.int64]]:
        dealt = deal(self._learned.sample, scope.strata, self._seed)
        if dealt is None:
            return None, np.zeros(0, dtype=np.int64)
        return infonce(dealt.blocks, self._seed), dealt.rows

    def _told(self, scope: _Scope, bits: Bits | None, rows: npt.NDArray[np.int64]) -> Finding:
        kind = f"bits{scope.suffix}"
        if bits is None:
            return self._abstained(kind, scope.refusal or "too few independent pairs to halve and compare")
        floor = permutation_null(bits.value, bits.shuffled)
        together = independence([self._learned.sample[i] for i in rows])
        return self._finding(
            kind,
            _no_narrower(clustered_mean(bits.influence, together.groups, self._seed), bits, together),
            {
                "tells": f"bits that a text tells of which of the different images {scope.where} is its own, at least "
                "(InfoNCE)",
                "unit": "bits",
                "chance": _rounded(floor.null_mean if floor else None),
                "floor": {name: _rounded(limit) for name, limit in zip(("low", "high"), _floor(bits), strict=True)},
                "shuffles": SHUFFLES,
                "p": _rounded(floor.p if floor else None),
                "ceiling": _rounded(bits.ceiling),
                "inverse_temperatures": [_rounded(b) for b in bits.inverses],
            },
            f"at most {bits.ceiling:.1f} bits can be seen; one pair of each text and image, {len(rows):,} of "
            f"{len(scope.rows):,}",
            together.note,
        )

    def _by_category(self, scope: _Scope, bits: Bits | None, rows: npt.NDArray[np.int64]) -> list[Json]:
        """The largest categories, one by one."""
        names = np.array([scope.strata[i] for i in scope.rows])
        of_bits = np.array([scope.strata[i] for i in rows])
        listed, counts = np.unique(names, return_counts=True)
        table: list[Json] = []
        for name in listed[np.argsort(-counts, kind="stable")][:MOST_CATEGORIES]:
            here = names == name
            standings, groups = scope.standings[here], self._together.groups[scope.rows[here]]
            rank = clustered_mean(standings.share(), groups, self._seed)
            share = self._matched(scope.single[here], scope.rows[here])
            told = bits.influence[of_bits == name] if bits is not None else np.zeros(0)
            table.append(
                {
                    "category": str(name),
                    "pairs": int(here.sum()),
                    "rank": _limits(rank),
                    "matched_share": _limits(share),
                    "bits": _rounded(float(told.mean())) if len(told) else None,
                }
            )
        return table

    def _matched(self, found: Standings, rows: npt.NDArray[np.int64]) -> Interval:
        nobody = np.zeros(len(found.near))
        return matched_share(found.near, nobody, found.against, found.own, self._together.groups[rows], self._seed)

    # as findings

    def _finding(self, kind: str, interval: Interval, details: Mapping[str, Json], *notes: str) -> Finding:
        learned = self._learned
        sampled = len(learned.sample) < learned.usable
        sample = f"a sample of {len(learned.sample):,} of {learned.usable:,} pairs" if sampled else ""
        total = round(self._n_pairs * len(learned.sample) / learned.usable)
        return Finding(self._name, None, Scored(round(float(interval.value or 0.0), 6) + 0.0), kind=kind, details={
            **details,
            "low": _rounded(interval.low),
            "high": _rounded(interval.high),
            "interval": interval.method,
            "n": interval.n,
            "total": total,
            "note": "; ".join(filter(None, (*notes, sample))),
        })  # fmt: skip

    def _abstained(self, kind: str, why: str) -> Finding:
        return Finding(self._name, None, Abstained(why), kind=kind)


def _mean_share(values: Floats, groups: npt.NDArray[np.int64], seed: int) -> Interval:
    """A mean of chances. Where nearly all are 0, or 1, resampling sees too little of the rare ones: there the interval
    of a rate on the effective sample size."""
    clusters = ClusterSums.of(values, groups)
    if min(values.sum(), len(values) - values.sum()) >= MANY:
        return clustered_mean(values, groups, seed)
    low, high = score_interval(clusters.mean, clusters.effective)
    return Interval(clusters.mean, low, high, len(values), WILSON + ON_CLUSTERS)


def _no_narrower(interval: Interval, bits: Bits, together: Independence) -> Interval:
    """The interval, at least as wide as shuffled pairings spread: where nothing, or everything, is told, resampling the
    pairs shows none of the estimate's own noise (whose temperatures are fitted). None where all pairs hang together."""
    if not together.groups.any():
        return interval
    value, middle = bits.value, float(bits.shuffled.mean())
    low, high = (value + limit - middle for limit in _floor(bits))
    return Interval(
        value,
        low if interval.low is None else min(low, interval.low),
        high if interval.high is None else max(high, interval.high),
        interval.n,
        f"{BOOTSTRAP}, no narrower than shuffled pairings",
    )


def _floor(bits: Bits) -> tuple[float, float]:
    """Between which the bits of shuffled pairings lie, 95 %."""
    low, high = np.quantile(bits.shuffled, [0.025, 0.975])
    return float(low), float(high)


def _limits(interval: Interval) -> dict[str, Json]:
    return {"value": _rounded(interval.value), "low": _rounded(interval.low), "high": _rounded(interval.high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6) + 0.0
