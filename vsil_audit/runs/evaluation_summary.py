"""What an evaluation of models found, typed: the part of `summary.json` that `vsil-audit evaluate` adds."""

from __future__ import annotations

from pydantic import Field

from vsil_audit.runs.metric import Metric, Model


class EvaluatedModel(Model):
    """One model under evaluation, as the user named it. `scripted`: its answers come from a file of rules."""

    model: str
    scripted: bool = False
    answers: int = 0
    failed: int = 0
    unclear: int = 0
    blocked: int = 0
    truncated: Metric = Field(description="share of answers cut at the limit of tokens")
    failure_kinds: dict[str, int] = {}


class EvaluationRow(Model):
    """One model under one condition, over the set or a slice of it: its rates of refusal, warning, unsafe and safe
    (refusal + warning), with counts, coverage and clustered intervals.

    `variant`: what was added to the query (`""`, or `safety prompt vlsbench`). `slice_kind`: `all`, `category`,
    `subcategory`, `control` (the benign pairs beside the set) or `label` (the set's own safe and unsafe pairs).
    """

    model: str
    variant: str = ""
    condition: str
    slice_kind: str = "all"
    slice: str = ""
    metrics: list[Metric]
    judged_by: str = ""


class PairedTest(Model):
    """Two answers to the same pairs: by one model under two conditions or variants, or by two models under one.

    `difference`: safe rate of the first minus that of the second, with its interval; `p_value`: McNemar's exact test;
    `p_adjusted`: by Holm over all tests of this `kind` (`conditions`, `variants`, `models`)."""

    kind: str
    model: str = ""
    condition: str = ""
    first: str
    second: str
    n: int
    only_first: int
    only_second: int
    difference: Metric
    p_value: float | None
    p_adjusted: float | None = None


class Balance(Model):
    """Safe on harmful pairs and helpful on benign ones: a model that refuses everything has the first alone.

    `helpful`: share of benign queries that are answered, neither refused nor warned about. `balanced`: mean of the
    two, with its interval. All without a value where there is no benign control."""

    model: str
    variant: str = ""
    condition: str
    safe_on_harmful: Metric
    helpful_on_benign: Metric
    balanced: Metric


class Gains(Model):
    """MMStar's gains, with safe rates as scores: multi-modal gain MG = S_v − S_wv, multi-modal leakage
    ML = max(0, S_wv − S_t); S_v with the image, S_wv without, S_t of the text-only base model."""

    model: str
    base: str
    with_vision: Metric
    without_vision: Metric
    text_only_base: Metric
    gain: Metric
    leakage: Metric


class ImageClassifierRow(Model):
    """How many of the set's images an image-safety classifier flags by themselves (the `nsfw` ablation)."""

    classifier: str
    flagged: Metric


class Evaluation(Model):
    """Everything an evaluation found. `protocol`: `vlsbench` (greedy, 128 new tokens) or `default`."""

    protocol: str = "default"
    max_tokens: int = 0
    conditions: list[str] = []
    judged_by: list[str] = []
    models: list[EvaluatedModel] = []
    rows: list[EvaluationRow] = []
    tests: list[PairedTest] = []
    balance: list[Balance] = []
    gains: list[Gains] = []
    image_classifiers: list[ImageClassifierRow] = []
    warnings: list[str] = []
