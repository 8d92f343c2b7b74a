"""What an evaluation of models found, typed: the part of `summary.json` that `vsil-audit evaluate` adds."""

from __future__ import annotations

from pydantic import Field

from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.metric import Metric, Model


class EvaluatedModel(Model):
    """One model under evaluation, as the user named it. `scripted`: its answers come from a file of rules. `base`: the
    text-only base model, which is measured and not ranked.

    Counts are over all conditions and variants, the set and the control. `answers`: that came and were not stopped by
    the provider; of these `unclear` have no class. `blocked`: stopped by the provider, which is no refusal of the
    model. `failed`: without an answer, or without a verdict on it; why, by `failure_kinds` and `judge_failures`.
    `not_shown`: the pair lacks what the condition shows, or the model takes no images."""

    model: str
    scripted: bool = False
    base: bool = False
    answers: int = 0
    failed: int = 0
    unclear: int = 0
    blocked: int = 0
    not_shown: int = 0
    truncated: Metric = Field(description="share of answers cut at the limit of tokens")
    failure_kinds: dict[str, int] = {}
    judge_failures: dict[str, int] = {}


class EvaluationRow(Model):
    """One model under one condition, over the set or a slice of it: its rates of refusal, warning, unsafe and safe
    (refusal + warning), with counts, coverage and clustered intervals.

    `variant`: what was added to the query (`""`, or `safety prompt vlsbench`). `slice_kind`: `all`, `category`,
    `subcategory`, `control` (the benign pairs beside the set, those that have what the condition shows) or `label` (the
    set's own safe and unsafe pairs). `within`: of a sub-category, the category of most of its pairs. `p_adjusted`: of a
    category or sub-category, whether its safe rate differs from the rest of the set's (permutations that respect
    clusters; Benjamini-Hochberg over the slices of that kind). `truncated`: share of answers cut at the limit of
    tokens. Counts as in `EvaluatedModel`, of the slice.
    """

    model: str
    variant: str = ""
    condition: str
    slice_kind: str = "all"
    slice: str = ""
    metrics: list[Metric]
    judged_by: str = ""
    within: str = ""
    p_adjusted: float | None = None
    truncated: Metric | None = None
    failed: int = 0
    unclear: int = 0
    blocked: int = 0
    not_shown: int = 0

    def metric(self, quantity: str) -> Metric | None:
        """`refusal`, `warning`, `unsafe` or `safe`."""
        return next((m for m in self.metrics if m.name.split(".")[1] == quantity), None)


class PairedTest(Model):
    """Two answers to the same pairs: by one model under two conditions or variants, or by two models under one.

    Over the pairs that are meant to be harmful and that both answered; `total` of `difference` counts the others too.
    `difference`: safe rate of the first minus that of the second, with its interval; `p_value`: McNemar's exact test,
    pairs that share an image or a text being flipped together (`stats/sign_flip.py`); `p_adjusted`: by Holm over all
    tests of this `kind` (`conditions`, `variants`, `models`). Conditions are tested against the pair, variants against
    the plain query, where these were asked."""

    kind: str
    model: str = ""
    condition: str = ""
    variant: str = ""
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

    `helpful_on_benign`: share of benign queries that are answered, neither refused nor warned about; of the benign
    control, else of the set's own safe pairs (`benign_are`: `control` or `label`). `balanced`: mean of the two, with
    its interval; without a value where there are no benign pairs. 0.5 is what a model gets that refuses everything, and
    one that refuses nothing."""

    model: str
    variant: str = ""
    condition: str
    safe_on_harmful: Metric
    helpful_on_benign: Metric
    balanced: Metric
    benign_are: str = "control"


class Gains(Model):
    """MMStar's gains, with safe rates as scores: multi-modal gain MG = S_v − S_wv, multi-modal leakage
    ML = max(0, S_wv − S_t); S_v with the image, S_wv without, S_t of the text-only base model. All over the harmful
    pairs that were answered all three times. The limits of ML are those of S_wv − S_t, cut at 0: a lower limit of 0
    says that no leakage is shown."""

    model: str
    base: str
    with_vision: Metric
    without_vision: Metric
    text_only_base: Metric
    gain: Metric
    leakage: Metric


class ImageClassifierRow(Model):
    """How many of the set's distinct images an image-safety classifier flags by themselves (the `nsfw` ablation)."""

    classifier: str
    flagged: Metric


class Evaluation(Model):
    """Everything an evaluation found. `protocol`: `vlsbench` (greedy, 128 new tokens) or `default`. `harmful_pairs`:
    those of the set that are not labelled safe; `control`: what the benign control is, in words, empty where none was
    asked about. `prompts`: name of each prompt and the sha256 of its text. `warnings`: the summary has them too."""

    protocol: str = "default"
    max_tokens: int = 0
    pairs: int = 0
    harmful_pairs: int = 0
    control: str = ""
    control_pairs: int = 0
    captioner: str = ""
    base_model: str = ""
    prompts: dict[str, str] = {}
    spend: list[SpendRow] = []
    conditions: list[str] = []
    judged_by: list[str] = []
    models: list[EvaluatedModel] = []
    rows: list[EvaluationRow] = []
    tests: list[PairedTest] = []
    balance: list[Balance] = []
    gains: list[Gains] = []
    image_classifiers: list[ImageClassifierRow] = []
    warnings: list[str] = []
