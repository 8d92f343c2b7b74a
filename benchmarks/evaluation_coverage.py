"""Are the intervals and paired tests of an evaluation what they say, on models whose true rates are known?

    python benchmarks/evaluation_coverage.py [--simulations 500] [--seed 0]

Models that answer by a scripted policy: a chance of refusal, warning and unsafe for each condition. Pairs stand alone,
or in clusters (of 3; or uneven, 1 to 24) whose pairs go the same way in 7 of 10 cases; the answers of a pair to two
conditions go together in half of the cases; 1 in 10 is lost. Answers are classed without error, as if by a judge that
is always right: what the offline classifier adds to an interval was measured on held-out models and sets, and is not
simulated here.

Three tables. Rates: how often the 95 % interval covers the true rate, of each class, of the balanced figure, of paired
differences and of MMStar's leakage. Tests: how often a paired test rejects at 5 % where nothing differs, beside
McNemar's test, which takes pairs as independent; the last column is the chance of any false rejection among 15
tests after Holm. Ranks: how often all true ranks lie inside their intervals together. A cell fails below 93 % coverage,
or above 7 % rejections (2 standard errors above 5 % at 500 simulations). Rates of which less than one case is expected
are held to 89 %: Wilson's interval dips there (Brown, Cai and DasGupta 2001). Models of one rate that fail in unlike
ways, one by whole clusters, the other pair by pair, are held to 10 % rejections: there the test is not exact. Exit code
1 when a cell fails.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from vsil_audit.runs.asked.columns import FAILED, Labels
from vsil_audit.runs.evaluated.balance import balanced_rate
from vsil_audit.runs.evaluated.gains import not_below_0
from vsil_audit.runs.evaluated.rates import class_rate
from vsil_audit.stats.multiple import holm
from vsil_audit.stats.paired import mcnemar_exact, paired_difference
from vsil_audit.stats.rank_intervals import Duel, rank_intervals
from vsil_audit.stats.rates import Interval, Rate
from vsil_audit.stats.sign_flip import sign_flip_p

Groups = npt.NDArray[np.int64]
Policy = tuple[float, float, float]
"""Chances of refusal, warning and unsafe."""

PROMISED, PROMISED_OF_THE_RAREST, NOMINAL, NOMINAL_UNLIKE = 0.93, 0.89, 0.07, 0.10
POLICIES: Mapping[str, Policy] = {
    "pair": (0.01, 0.13, 0.86),
    "text": (0.10, 0.20, 0.70),
    "caption": (0.05, 0.15, 0.80),
    "blank": (0.00, 0.03, 0.97),
    "swapped": (0.25, 0.25, 0.50),
    "image": (0.55, 0.40, 0.05),
    "refuses all": (1.00, 0.00, 0.00),
}
LABELS = ("refusal", "warning", "unsafe")
HELPFUL = (0.06, 0.04, 0.90)
BASE = (0.05, 0.15, 0.80)
JUDGE = "a judge that is always right"
GOES_TOGETHER, SAME_LUCK, LOST = 0.7, 0.5, 0.1
TRUE_RATES = (0.10, 0.10, 0.15, 0.30, 0.32, 0.60)
BENIGN = 150
"""Of models that are ranked."""


@dataclass(frozen=True)
class Design:
    """Which pairs go together, and how many there are."""

    name: str
    groups: Groups

    @property
    def n(self) -> int:
        return len(self.groups)


def designs() -> list[Design]:
    uneven = np.repeat(np.arange(12), [1, 1, 1, 2, 2, 3, 4, 6, 8, 12, 16, 24])
    return [
        Design("60 pairs", np.arange(60)),
        Design("400 pairs", np.arange(400)),
        Design("90 pairs in clusters of 3", np.arange(90) // 3),
        Design("600 pairs in clusters of 3", np.arange(600) // 3),
        Design("800 pairs in uneven clusters", np.concatenate([uneven + 12 * i for i in range(10)])),
    ]


class World:
    """One draw of a set: luck that its clusters and pairs share, and answers by it."""

    def __init__(self, groups: Groups, generator: np.random.Generator) -> None:
        self.groups, self._draw = groups, generator
        self._of_pair = self._luck()

    def _luck(self) -> npt.NDArray[np.float64]:
        n = len(self.groups)
        shared = self._draw.random(int(self.groups.max()) + 1)[self.groups]
        clustered = self._draw.random(n) < GOES_TOGETHER
        return np.where(clustered, shared, self._draw.random(n))

    def answers(self, policy: Policy, *, lost: float = LOST) -> Labels:
        """Codes of refusal, warning and unsafe, FAILED where the answer is lost. Shape (n,)."""
        n = len(self.groups)
        luck = np.where(self._draw.random(n) < SAME_LUCK, self._of_pair, self._luck())
        codes = np.searchsorted(np.cumsum(policy)[:2], luck, side="right").astype(np.int8)
        return np.where(self._draw.random(n) < lost, np.int8(FAILED), codes)


def rate(codes: Labels, name: str, groups: Groups) -> Rate | Interval:
    return class_rate(codes[None, :], name, groups, judged_by=JUDGE)


def safe(policy: Policy) -> float:
    return policy[0] + policy[1]


def covers(found: Rate | Interval, truth: float) -> bool:
    if found.low is None or found.high is None:
        raise ValueError(f"no interval: {found.method}")
    return found.low - 1e-9 <= truth <= found.high + 1e-9


def flags(one: Labels, two: Labels, groups: Groups) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Groups]:
    """Handled safely, of the pairs that both answered."""
    both = (one >= 0) & (two >= 0)
    return one[both] < 2, two[both] < 2, groups[both]


def once(design: Design, generator: np.random.Generator) -> Iterator[tuple[str, bool]]:
    """Which intervals of one evaluation cover the truth."""
    world = World(design.groups, generator)
    said = {name: world.answers(policy) for name, policy in POLICIES.items()}
    for name, policy in POLICIES.items():
        for label, truth in zip((*LABELS, "safe"), (*policy, safe(policy)), strict=True):
            yield f"{label} under {name}", covers(rate(said[name], label, design.groups), truth)
    benign = World(np.arange(BENIGN), generator).answers(HELPFUL)
    helpful = rate(benign, "unsafe", np.arange(BENIGN))
    for name in ("pair", "swapped", "refuses all"):
        balanced = balanced_rate(rate(said[name], "safe", design.groups), helpful, independent=True)
        yield f"balanced under {name}", covers(balanced, (safe(POLICIES[name]) + HELPFUL[2]) / 2)
    for name in ("text", "caption", "blank", "swapped", "image"):
        difference = paired_difference(*flags(said[name], said["pair"], design.groups))
        yield f"{name} minus pair", covers(difference, safe(POLICIES[name]) - safe(POLICIES["pair"]))
    for name in ("text", "caption", "pair"):
        known = paired_difference(*flags(said[name], world.answers(BASE), design.groups))
        yield f"leakage of {name}", covers(not_below_0(known), max(0.0, safe(POLICIES[name]) - safe(BASE)))


def coverage(design: Design, simulations: int, seed: int) -> dict[str, float]:
    generator = np.random.default_rng([seed, 1, design.n])
    found: dict[str, list[bool]] = defaultdict(list)
    for _ in range(simulations):
        for name, covered in once(design, generator):
            found[name].append(covered)
    return {name: float(np.mean(covered)) for name, covered in found.items()}


def promised(name: str, design: Design) -> float:
    label, _, condition = name.partition(" under ")
    if label not in LABELS:
        return PROMISED
    expected = design.n * (1 - LOST) * POLICIES[condition][LABELS.index(label)]
    return PROMISED_OF_THE_RAREST if 0 < expected < 1 else PROMISED


@dataclass(frozen=True)
class Size:
    """How often a test rejects at 5 % where nothing differs: ours, McNemar's, and any of 15 after Holm."""

    ours: float
    mcnemar: float
    any_of_15: float


def size(design: Design, policy: Policy, simulations: int, seed: int) -> Size:
    """Six models of one policy on the same pairs."""
    generator = np.random.default_rng([seed, 2, design.n, round(100 * safe(policy))])
    ours, mcnemar, any_of_15 = [], [], []
    for _ in range(simulations):
        world = World(design.groups, generator)
        said = [world.answers(policy) for _ in range(6)]
        p_values = []
        for one, two in combinations(said, 2):
            a, b, groups = flags(one, two, design.groups)
            p_values.append(sign_flip_p(a.astype(np.int8) - b.astype(np.int8), groups))
        a, b, _ = flags(said[0], said[1], design.groups)
        ours.append(p_values[0] <= 0.05)
        mcnemar.append(mcnemar_exact(int((a & ~b).sum()), int((~a & b).sum())) <= 0.05)
        any_of_15.append(holm(p_values).min() <= 0.05)
    return Size(*(float(np.mean(rejected)) for rejected in (ours, mcnemar, any_of_15)))


def unlike(design: Design, simulations: int, seed: int) -> float:
    """Rejections at 5 % where two models have one rate and fail in different ways: one all of a cluster or none of it,
    the other pair by pair, so that flipping clusters is not exact."""
    generator = np.random.default_rng([seed, 3, design.n])
    rejected = []
    for _ in range(simulations):
        whole = (generator.random(int(design.groups.max()) + 1) < 0.2)[design.groups]
        single = generator.random(design.n) < 0.2
        rejected.append(sign_flip_p(whole.astype(np.int8) - single.astype(np.int8), design.groups) <= 0.05)
    return float(np.mean(rejected))


def ranks(design: Design, simulations: int, seed: int) -> tuple[float, float]:
    """How often all true ranks lie inside, and the mean number of ranks left open to a model. Models of one rate may
    hold any of the ranks that they share."""
    generator = np.random.default_rng([seed, 4, design.n])
    true = np.array(TRUE_RATES)
    highest = 1 + (true[:, None] < true[None, :]).sum(axis=1)
    lowest = (true[:, None] <= true[None, :]).sum(axis=1)
    inside, widths = [], []
    for _ in range(simulations):
        world = World(design.groups, generator)
        said = [world.answers((0.0, rate, 1 - rate)) for rate in TRUE_RATES]
        duels = []
        for one, two in combinations(range(len(said)), 2):
            a, b, groups = flags(said[one], said[two], design.groups)
            p = sign_flip_p(a.astype(np.int8) - b.astype(np.int8), groups)
            duels.append(Duel(one, two, float(a.mean() - b.mean()), p))
        found = rank_intervals([float((codes[codes >= 0] < 2).mean()) for codes in said], duels)
        inside.append(all(r.best <= h and w <= r.worst for r, h, w in zip(found, highest, lowest, strict=True)))
        widths.append(np.mean([r.worst - r.best + 1 for r in found]))
    return float(np.mean(inside)), float(np.mean(widths))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    started, failed = time.process_time(), 0
    given = (options.simulations, options.seed)
    print(f"coverage of 95 % intervals\n  {'':30} {'least':>6} {'mean':>6}  at its least")
    for design in designs():
        found = coverage(design, *given)
        kinds: dict[str, dict[str, float]] = {"rates": {}, "balanced": {}, "differences": {}, "leakage": {}}
        for name, share in found.items():
            kind = next((k for k in ("balanced", "leakage") if name.startswith(k)), "")
            kinds[kind or ("differences" if " minus " in name else "rates")][name] = share
        print(f"  {design.name}")
        for kind, cells in kinds.items():
            least = min(cells, key=lambda name: cells[name])
            bad = sum(share < promised(name, design) for name, share in cells.items())
            failed += bad
            mark = f"   {bad} FAILED" if bad else ""
            print(f"    {kind:28} {cells[least]:6.1%} {np.mean(list(cells.values())):6.1%}  {least}{mark}", flush=True)
    print(f"\nrejections at 5 % where nothing differs\n  {'':44} {'ours':>6} {'McNemar':>8} {'any of 15, Holm':>16}")
    for design in designs():
        for name in ("blank", "pair", "swapped"):
            cell = size(design, POLICIES[name], *given)
            bad = max(cell.ours, cell.any_of_15) > NOMINAL
            failed += bad
            where = f"{design.name}, rate {safe(POLICIES[name]):.2f}"
            print(
                f"  {where:44} {cell.ours:6.1%} {cell.mcnemar:8.1%} {cell.any_of_15:16.1%}{'   FAILED' if bad else ''}",
                flush=True,
            )
        share = unlike(design, *given)
        bad = share > NOMINAL_UNLIKE
        failed += bad
        print(f"  {design.name + ', in unlike ways':44} {share:6.1%}{'   FAILED' if bad else ''}", flush=True)
    print(f"\nranks of six models\n  {'':44} {'all inside':>10} {'ranks left open':>16}")
    for design in designs():
        inside, width = ranks(design, *given)
        failed += inside < PROMISED
        print(f"  {design.name:44} {inside:10.1%} {width:16.1f}{'   FAILED' if inside < PROMISED else ''}", flush=True)
    print(f"\n{options.simulations} simulations: {failed} cells failed; {time.process_time() - started:.0f} s of CPU")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
