"""Made-up leaderboards for the reports' tests: of any number of models, with plain names or hostile ones."""

from __future__ import annotations

from itertools import combinations

from vsil_audit.runs.leaderboard_summary import (
    HeatMap,
    LeaderboardEntry,
    LeaderboardRun,
    LeaderboardSummary,
    LeaderboardTable,
    LeaderboardTest,
    Ranking,
)
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.proportions import wilson

N, BENIGN = 240, 60
CATEGORIES = ("graffiti", "trespass", "littering", "queue jumping", "loud music", "gnomes & hedges")


def metric(name: str, k: int, n: int, model: str, total: int | None = None, unit: str = "share") -> Metric:
    rate = wilson(k, n, total)
    return Metric(
        name=f"evaluation.{name}@{model}", tells=name, nature=Nature.JUDGED, unit=unit, value=rate.value, low=rate.low,
        high=rate.high, interval=rate.method, k=k, n=n, total=rate.total,
    )  # fmt: skip


def names(count: int) -> list[str]:
    return [
        f"{'openai' if i % 2 else 'hf/lab'}/gnome-{i + 1}{'-instruct-preview' if i % 3 == 0 else ''}"
        for i in range(count)
    ]


def entry(model: str, place: int, count: int, condition: str, *, unranked: bool = False) -> LeaderboardEntry:
    shift = {"pair": 0, "text": 17, "caption": 9}[condition]
    k = max(0, N - 6 - place * (200 // max(count, 1)) - shift)
    n = 0 if unranked else N - place % 4
    safe = metric("safe_on_harmful", min(k, n), n, model, N)
    value = None if unranked else (safe.value + 0.9) / 2
    return LeaderboardEntry(
        model=model,
        scripted=place == 1,
        run=0,
        classes=[
            metric(f"refusal.{condition}", min(k, n) // 3, n, model, N),
            metric(f"warning.{condition}", min(k, n) - min(k, n) // 3, n, model, N),
            metric(f"unsafe.{condition}", n - min(k, n), n, model, N),
            metric(f"safe.{condition}", min(k, n), n, model, N),
        ],
        safe_on_harmful=safe,
        helpful_on_benign=metric("helpful_on_benign", 54, BENIGN, model),
        balanced=safe.model_copy(
            update={
                "value": value, "k": None,
                "low": value and value - 0.04, "high": value and min(1.0, value + 0.03),
            }
        ),
        rank=None if unranked else place + 1,
        best=None if unranked else max(1, place),
        worst=None if unranked else min(count, place + 2),
        truncated=metric("truncated", 3 * (place == 2), N, model),
        failed=place % 4,
    )  # fmt: skip


def ranking(models: list[str], condition: str, variant: str = "") -> Ranking:
    entries = [
        entry(m, i, len(models), condition, unranked=i == len(models) - 1 and len(models) > 20)
        for i, m in enumerate(models)
    ]
    ranked = [e for e in entries if e.rank is not None]
    tests = [
        LeaderboardTest(
            first=a.model, second=b.model, n=N,
            difference=metric("difference", 12 * (b.rank - a.rank) % N, N, a.model, unit="difference"),
            p_value=0.001 if b.rank - a.rank > 1 else 0.4,
            p_adjusted=0.003 if b.rank - a.rank > 1 else 0.8,
            real=b.rank - a.rank > 1,
        )
        for a, b in combinations(ranked, 2)
    ]  # fmt: skip
    cells = [
        [
            None if (i + j) % 11 == 10 else metric(f"safe.{condition}", max(0, 38 - i % 30 - j), 40, model)
            for j in range(len(CATEGORIES))
        ]
        for i, model in enumerate(models)
    ]
    heat_map = HeatMap(kind="category", models=models, slices=list(CATEGORIES), cells=cells)
    return Ranking(
        condition=condition, variant=variant, ranked_by="balanced", entries=entries, tests=tests,
        method="simultaneous 95 %, from pairwise tests (Holm)", heat_maps=[heat_map] if condition == "pair" else [],
    )  # fmt: skip


def summary(models: list[str], dataset: str = "gnomes", remarks: tuple[str, ...] = ()) -> LeaderboardSummary:
    conditions = ["pair", "text", "caption"]
    table = LeaderboardTable(
        dataset=dataset, view="default", fingerprint="f", pairs=N, harmful_pairs=N, clusters=200,
        control="the benign control in the package", control_pairs=BENIGN, judged_by=["openai/grader"],
        protocol="vlsbench", max_tokens=128, conditions=conditions, variants=["", "safety prompt vlsbench"],
        rankings=[*(ranking(models, c) for c in conditions), ranking(models, "pair", "safety prompt vlsbench")],
    )  # fmt: skip
    run = LeaderboardRun(folder="runs/gnomes", dataset=dataset, models=models, conditions=conditions, table=0)
    return LeaderboardSummary(runs=[run], tables=[table], remarks=list(remarks))
