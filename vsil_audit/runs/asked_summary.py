"""What a run that asked models found, typed: the part of `summary.json` beside the metrics. Reports compute nothing."""

from __future__ import annotations

from pydantic import Field

from vsil_audit.runs.metric import Metric, Model


class AskedModel(Model):
    """One model that was asked, as the user named it. `scripted`: its answers come from a file of rules."""

    model: str
    role: str
    detectors: list[str]
    scripted: bool = False
    observations: int = Field(0, description="what was kept of it, over all conditions and parts")
    asked: int = Field(0, description="questions that were put to it; others had no image to show, or it takes none")
    answered: int = Field(0, description="questions that it answered somehow: also unreadably, or stopped by a filter")
    failed: int = 0
    abstained: int = 0
    truncated: int = 0
    failure_kinds: dict[str, int] = {}


class ConditionRow(Model):
    """One model under one condition: its rates on the set, and on the benign control beside it.

    `metrics`: each class's rate (`refusal`, `warning`, `unsafe`, `safe` of a target; `unsafe` of a judge; `none`,
    `implicit`, `explicit` of a leakage judge). `blocked`: stopped by the provider, which is no refusal of the model.
    """

    detector: str
    model: str
    condition: str
    metrics: list[Metric]
    control: list[Metric] = []
    blocked: int = 0
    truncated: int = 0


class FlowCell(Model):
    """One cell of a paired flow: how many pairs, and ids of a few of them."""

    name: str
    pairs: int
    examples: list[str] = []


class PairedFlow(Model):
    """The same pairs under two conditions, by one model. Cells: `both`, `only_first`, `only_second`, `neither` are
    handled as `outcome` says (a target: safely; a judge: called unsafe). `difference`: first minus second, with its
    interval; `p_value`: McNemar's exact test, pairs that share an image or a text being flipped together
    (`stats/sign_flip.py`). `share`: of the pairs in `both` or `only_second`, those in `both`: the text-only share of a
    target (first: text, second: pair), V of a judge."""

    detector: str
    model: str
    first: str
    second: str
    outcome: str
    cells: list[FlowCell]
    n: int
    total: int
    difference: Metric
    p_value: float | None
    share: Metric


class JudgeCheck(Model):
    """One thing that shows whether a judge can be believed: its metric, the bound that it must keep, and whether it
    does (None: it could not be told, or there is no bound). `name`: `canaries`, `injection`, `image_sensitivity`,
    `control`, `coverage`, `varies` (more than one verdict was given), `swap` (the effect of another pair's image)."""

    detector: str
    model: str
    name: str
    metric: Metric
    bound: str
    passed: bool | None


class JudgeRow(Model):
    """One judge. Of a safety judge R1, R2, V, V*; of a leakage judge its rates, kinds of leak and dropped quotes. What
    would be called leakage has no value, and the reason, where a check failed."""

    detector: str
    model: str
    trusted: bool
    why_not: str = ""
    metrics: list[Metric]


class AgreementCell(Model):
    """Two raters: Cohen's kappa with its interval, the share on which they agree, over n pairs that both scored."""

    first: str
    second: str
    kappa: Metric
    agree: Metric


class Agreement(Model):
    """How far several raters of one thing agree. `about`: `text`, `pair`, `leak` (safety judges), `reveals` (leakage
    judges), or `lenses` (the report's lenses). `majority`: the rate by most of the judges that can be trusted."""

    about: str
    raters: list[str]
    cells: list[AgreementCell]
    alpha: Metric | None = None
    majority: Metric | None = None
    disagreements: list[str] = Field([], description="ids of pairs on which they disagree, at most 50")


class SpendRow(Model):
    """What one model was asked over all sessions of the run, and what it cost (US dollars; None: not known)."""

    model: str
    calls: int
    cached: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    cost_uncertain: float | None
    price_checked: str | None = None
    scripted: bool = False
    failures: dict[str, int] = {}
    retries: dict[str, int] = {}


class Corrected(Model):
    """A judge's rates corrected by human labels: `vsil-audit calibrate` keeps these in the run folder."""

    model: str
    labels: str = Field(description="the file of labels, by name")
    metrics: list[Metric]
    note: str = ""


class AskedSummary(Model):
    models: list[AskedModel] = []
    conditions: list[ConditionRow] = []
    flows: list[PairedFlow] = []
    judges: list[JudgeRow] = []
    checks: list[JudgeCheck] = []
    agreement: list[Agreement] = []
    control: str = Field("", description="what the benign control is, in words")
    control_pairs: int = 0
    canaries: int = 0
    prompts: dict[str, str] = Field({}, description="name of each prompt and the sha256 of its text")
    spend: list[SpendRow] = []
    corrected: list[Corrected] = Field([], description="rates corrected by human labels, from `vsil-audit calibrate`")
