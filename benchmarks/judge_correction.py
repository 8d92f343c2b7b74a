"""Do the 95 % intervals of the corrected leak rate cover the truth, whatever the judge is worth?

    python benchmarks/judge_correction.py [--simulations 1000] [--seed 0]

Sets of 700 pairs of known leak rate V (share of the harmful pairs whose text alone is harmful), judged by simulated
judges of known sensitivity and specificity: independent errors, errors of J(text) and J(pair) that go together, and
judges that do not look at the image. Two kinds of labels: a random sample of 150 pairs of the set, and 250 pairs
labelled elsewhere. Pairs stand alone, or in clusters of 3 that often share their truth.

Each row: how often a corrected value was given, its coverage and mean width, then the coverage and mean width of V
as the judge sees it, uncorrected (the first 200 simulations). A cell fails when fewer than 93 % of the given intervals
cover the truth; where a value is given in fewer than 5 % of the simulations the cell counts as refused. Exit code 1
when a cell fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.corrected_leak_rate import LabelledElsewhere, LabelledSample, corrected_leak_rate
from vsil_audit.stats.rates import Interval, Rate

Flags = npt.NDArray[np.bool_]

LEAK_RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
PROMISED = 0.93
SELDOM = 0.05
NAIVE = 200
PAIRS, SAMPLE, ELSEWHERE = 700, 150, 250
HARMFUL, HARMFUL_ELSEWHERE, LEAKING_ELSEWHERE = 0.8, 0.7, 0.5


@dataclass(frozen=True)
class Judge:
    """Sensitivity and specificity of J(text) and of J(pair) where it looks at the image, which it does not in a share
    `blind` of the pairs; `together` is the share of pairs whose two verdicts err from one cause."""

    name: str
    sensitivity: float
    specificity: float
    together: float = 0.0
    blind: float = 0.0


STRONG = Judge("strong", 0.95, 0.95)
USUAL = Judge("usual", 0.7, 0.9)
WEAK = Judge("weak", 0.6, 0.6)
CORRELATED = Judge("errors together", 0.8, 0.9, together=0.9)
HALF_BLIND = Judge("half image-blind", 0.9, 0.9, blind=0.5)
BLIND = Judge("image-blind", 0.9, 0.9, blind=1.0)
ALWAYS_UNSAFE = Judge("always unsafe", 1.0, 0.0)
ALWAYS_SAFE = Judge("always safe", 0.0, 1.0)
EVERYONE = (STRONG, USUAL, WEAK, CORRELATED, HALF_BLIND, BLIND, ALWAYS_UNSAFE, ALWAYS_SAFE)


@dataclass(frozen=True)
class Judged:
    """Pairs with their truth and verdicts, each (n,)."""

    pair_harmful: Flags
    text_harmful: Flags
    pair_unsafe: Flags
    text_unsafe: Flags
    groups: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cell:
    """Coverage and mean width over the simulations that gave a value, and how many did."""

    given: float
    coverage: float
    width: float
    naive_coverage: float
    naive_width: float

    @property
    def refused(self) -> bool:
        return self.given < SELDOM

    @property
    def failed(self) -> bool:
        return not self.refused and self.coverage < PROMISED


def judged(
    judge: Judge, n: int, harmful: float, leaking: float, cluster: int, generator: np.random.Generator
) -> Judged:
    """`n` pairs; in clusters, 7 of 10 pairs take their truth from what the cluster shares."""
    groups = np.arange(n) // cluster

    def truth(share: float) -> Flags:
        shared = generator.random(n)[groups]
        return np.where(generator.random(n) < (0.7 if cluster > 1 else 0.0), shared, generator.random(n)) < share

    pair = truth(harmful)
    text = truth(leaking) & pair
    luck = generator.random(n)
    other_luck = np.where(generator.random(n) < judge.together, luck, generator.random(n))
    text_unsafe = np.where(text, luck < judge.sensitivity, luck >= judge.specificity)
    pair_unsafe = np.where(pair, other_luck < judge.sensitivity, other_luck >= judge.specificity)
    pair_unsafe = np.where(generator.random(n) < judge.blind, text_unsafe, pair_unsafe)
    return Judged(pair, text, pair_unsafe, text_unsafe, groups)


def simulate(judge: Judge, leaking: float, cluster: int, simulations: int, seed: int, *, elsewhere: bool) -> Cell:
    generator = np.random.default_rng([seed, EVERYONE.index(judge), round(100 * leaking), cluster, elsewhere])
    scored = np.ones(PAIRS, dtype=bool)
    corrected: list[Interval | Rate] = []
    naive: list[Interval | Rate] = []
    for number in range(simulations):
        found = judged(judge, PAIRS, HARMFUL, leaking, cluster, generator)
        labels: LabelledSample | LabelledElsewhere
        if elsewhere:
            other = judged(judge, ELSEWHERE, HARMFUL_ELSEWHERE, LEAKING_ELSEWHERE, cluster, generator)
            labels = LabelledElsewhere(
                other.pair_unsafe, other.text_unsafe, other.pair_harmful, other.text_harmful, other.groups
            )
        else:
            drawn = generator.choice(int(found.groups[-1]) + 1, SAMPLE // cluster, replace=False)
            labels = LabelledSample(np.isin(found.groups, drawn), found.pair_harmful, found.text_harmful)
        corrected.append(corrected_leak_rate(found.pair_unsafe, found.text_unsafe, scored, found.groups, labels))
        if number < NAIVE:
            naive.append(clustered_rate(found.text_unsafe[found.pair_unsafe], found.groups[found.pair_unsafe]))
    given, coverage, width = covering(corrected, leaking)
    return Cell(given, coverage, width, *covering(naive, leaking)[1:])


def covering(intervals: Sequence[Interval | Rate], truth: float) -> tuple[float, float, float]:
    """Share of `intervals` with a value; of these, the share that covers `truth`, and the mean width (nan for none)."""
    limits = np.array([(each.low, each.high) for each in intervals if each.value is not None], dtype=np.float64)
    if not len(limits):
        return 0.0, float("nan"), float("nan")
    covers = (limits[:, 0] <= truth + 1e-9) & (truth - 1e-9 <= limits[:, 1])
    return len(limits) / len(intervals), float(covers.mean()), float(np.ptp(limits, axis=1).mean())


def settings() -> Iterator[tuple[str, Judge, int, bool]]:
    """(title, judge, pairs per cluster, whether the labels are from elsewhere) of every five rows of the table."""
    for cluster, title in ((1, "a labelled sample of the set"), (3, "a labelled sample, clusters of 3")):
        for judge in EVERYONE:
            yield title, judge, cluster, False
    for judge in EVERYONE:
        yield "labels from elsewhere", judge, 1, True
    yield "labels from elsewhere, clusters of 3", USUAL, 3, True


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    started, cells, before = time.process_time(), [], ""
    for title, judge, cluster, elsewhere in settings():
        if title != before:
            print(f"\n{title}\n  {'judge':17} sens spec     V   given  covers   width   uncorrected: covers  width")
            before = title
        for leaking in LEAK_RATES:
            cell = simulate(judge, leaking, cluster, options.simulations, options.seed, elsewhere=elsewhere)
            cells.append(cell)
            told = f"{cell.coverage:6.1%} {cell.width:7.3f}" if not cell.refused else "refused       "
            naive = f"{cell.naive_coverage:6.1%} {cell.naive_width:6.3f}" if cell.naive_width > 0 else "no value"
            print(
                f"  {judge.name:17} {judge.sensitivity:4.2f} {judge.specificity:4.2f}  {leaking:4.2f} {cell.given:6.1%}"
                f"  {told}              {naive}"
                f"{'   FAILED' if cell.failed else ''}",
                flush=True,
            )
    failed, refused = sum(cell.failed for cell in cells), sum(cell.refused for cell in cells)
    least = min(cell.coverage for cell in cells if not cell.refused)
    print(
        f"\n{len(cells)} cells of {options.simulations} simulations: {failed} failed, {refused} refused, "
        f"least coverage {least:.1%}; {time.process_time() - started:.0f} s of CPU"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
