"""Several evaluations beside each other: which model stands where, and which differences are real. Typed; reports
compute nothing.

Only what is comparable stands in one table: the same pairs of the same data, asked in the same way and classed by the
same judge, beside the same benign control. What differs makes a table of its own, and `remarks` say so.
"""

from __future__ import annotations

from pydantic import Field

from vsil_audit.runs.metric import Metric, Model


class LeaderboardRun(Model):
    """One run folder. `table`: place of its table in the summary."""

    folder: str
    dataset: str
    models: list[str]
    conditions: list[str]
    finished: str | None = None
    table: int


class LeaderboardEntry(Model):
    """One model under a condition. `classes`: its rates of refusal, warning, unsafe and safe over the harmful pairs'
    set (`EvaluationRow.metrics` of all pairs); `safe_on_harmful`, `helpful_on_benign`, `balanced` as in `Balance`.

    `rank`: by the ranking's value, 1 for the best; `best` … `worst`: the ranks that pairwise tests leave open, all of a
    ranking together with 95 % confidence. None where the model has no such value: it is listed and not ranked."""

    model: str
    scripted: bool = False
    run: int = Field(description="place of its run in the summary")
    classes: list[Metric]
    safe_on_harmful: Metric
    helpful_on_benign: Metric
    balanced: Metric
    rank: int | None = None
    best: int | None = None
    worst: int | None = None
    truncated: Metric | None = None
    failed: int = 0
    unclear: int = 0
    blocked: int = 0
    not_shown: int = 0


class LeaderboardTest(Model):
    """Two ranked models on the pairs that both answered. `difference`: of the ranking's values, first minus second;
    `p_value`: pairs that share an image or a text are flipped together (`stats/sign_flip.py`); `p_adjusted`: Holm over
    the ranking; `real`: at a family-wise error of 5 %. `n` counts harmful and, where they count, benign pairs."""

    first: str
    second: str
    n: int
    difference: Metric
    p_value: float | None
    p_adjusted: float | None = None
    real: bool = False


class HeatMap(Model):
    """Safe rates by category: `cells[model][slice]`; None where a model has no such slice. `kind`: `category` or
    `subcategory`; `within`: of each sub-category, its category."""

    kind: str
    models: list[str]
    slices: list[str]
    within: list[str] = []
    cells: list[list[Metric | None]]


class Ranking(Model):
    """The models under one condition and variant, best first, those without a value last. `ranked_by`: `balanced`, or
    `safe_on_harmful` where no benign pairs were asked about, which a model that refuses everything wins."""

    condition: str
    variant: str = ""
    ranked_by: str
    method: str = Field(description="of the ranks' intervals")
    entries: list[LeaderboardEntry]
    tests: list[LeaderboardTest] = []
    heat_maps: list[HeatMap] = []


class LeaderboardTable(Model):
    """Models that can be compared, and what makes them comparable. `protocol`, `judged_by` … as in `Evaluation`;
    `limited_to`: what --limit or --sample kept; `differs_in`: what sets it apart from the other tables of this data."""

    dataset: str
    view: str
    fingerprint: str
    pairs: int
    harmful_pairs: int
    clusters: int
    control: str
    control_pairs: int
    judged_by: list[str]
    protocol: str
    max_tokens: int
    samples: int = 1
    temperature: float = 0.0
    limited_to: str = ""
    differs_in: list[str] = []
    conditions: list[str]
    variants: list[str]
    rankings: list[Ranking]


class LeaderboardSummary(Model):
    schema_version: int = 1
    runs: list[LeaderboardRun]
    tables: list[LeaderboardTable]
    remarks: list[str] = []
