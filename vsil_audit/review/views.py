"""Agreement, sampling plan and import, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.numbers import share
from vsil_audit.reporting.untrusted import fold
from vsil_audit.review.agreement import CriterionAgreement, Share
from vsil_audit.review.importing import Imported
from vsil_audit.review.labels import SAMPLE, WHOLE
from vsil_audit.review.sampling_plan import PlannedCriterion, SamplingPlan
from vsil_audit.stats.rates import Interval
from vsil_audit.wording import plural

MOST_LISTED = 50


def agreement_view(found: list[CriterionAgreement]) -> RenderableType:
    """Per criterion: who labelled how many, shares, kappa of every two, alpha of all, where they differ."""
    if not found:
        return Text("Nobody has labelled anything yet.")
    return Group(*(part for each in found for part in _criterion(each)))


def _criterion(found: CriterionAgreement) -> Iterator[RenderableType]:
    yield Text(found.criterion.asks, style="bold").append(f"  {found.criterion.name}", style="not bold dim")
    told = zip(found.annotators, found.labelled, strict=True)
    yield Text("  labels: " + ", ".join(f"{fold(name, 30)} {count:,}" for name, count in told if count))
    for one in found.shares:
        if one.labelled or one.tied:
            yield Text(f"  {_share(one, found.criterion.share_of)}")
    if not found.twice:
        yield Text("  no pair has labels of two people, so that agreement cannot be seen\n", style="dim")
        return
    table = Table(box=None, padding=(0, 2, 0, 2))
    table.add_column("", overflow="fold")
    for title in ("value", "95 % interval", "same", "n"):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in found.pairs:
        if pair.same.n:
            names = f"{fold(found.annotators[pair.first], 30)}, {fold(found.annotators[pair.second], 30)}: kappa"
            table.add_row(Text(names), *_cells(pair.kappa), f"{pair.same.k:,}/{pair.same.n:,}", f"{pair.kappa.n:,}")
    table.add_row(Text("all: Krippendorff's alpha"), *_cells(found.alpha), "", f"{found.alpha.n:,}")
    yield table
    if found.alpha.value is None:
        yield Text(f"  {found.alpha.method}", style="dim")
    yield from _disagreements(found)
    yield Text("")


def _disagreements(found: CriterionAgreement) -> Iterator[Text]:
    yield Text(f"  they differ on {plural(len(found.disagreements), 'pair')} of {found.twice:,} that two labelled")
    for one in found.disagreements[:MOST_LISTED]:
        said = ", ".join(
            f"{fold(name, 30)} {label}"
            for name, label in zip(found.annotators, one.said, strict=True)
            if label is not None
        )
        yield Text(f"    {fold(one.pair_id, 60)}: {said}", style="dim")
    if len(found.disagreements) > MOST_LISTED:
        yield Text(f"    … and {len(found.disagreements) - MOST_LISTED:,} more; --export csv has all", style="dim")


def _share(one: Share, of: str) -> str:
    known = "no majority" if one.rate.value is None else f"{share(one.rate.value)} = {one.count:,}/{one.labelled:,}"
    if one.weighted and one.rate.value is not None:
        known = f"{share(one.rate.value)} by weight, of {one.labelled:,} ({one.count:,})"
    tied = f", {plural(one.tied, 'tie')} left out" if one.tied else ""
    return f"{of}: {known} {_interval(one.rate, percent=True)}{tied}; {_chosen(one)}".replace("  ", " ")


def _chosen(one: Share) -> str:
    how = {WHOLE: "all pairs are under review", SAMPLE: "pairs drawn at random"}.get(one.origin, one.origin)
    covered = f"{one.labelled + one.tied:,} of {one.chosen:,} labelled"
    return f"{how}, {covered}" if one.of_the_set else f"{how}, {covered}: says nothing of the others"


def _cells(found: Interval) -> tuple[str, str]:
    return "no value" if found.value is None else f"{found.value:.2f}", _interval(found, percent=False)


def _interval(found: Interval, *, percent: bool) -> str:
    if found.value is None or found.low is None or found.high is None:
        return ""
    low, high = (share(found.low), share(found.high)) if percent else (f"{found.low:.2f}", f"{found.high:.2f}")
    return f"[{low}, {high}]"


def plan_view(plan: SamplingPlan) -> RenderableType:
    """Per criterion the labels needed, and what the numbers take for granted."""
    table = Table(
        box=None,
        padding=(0, 2, 0, 0),
        title=f"Labels for ±{100 * plan.precision:g} points (95 %)",
        title_justify="left",
    )
    table.add_column("", no_wrap=True)
    for title in ("rate", "for this set", "for sets like it", "labelled", "gives"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in plan.criteria:
        here, like_it = _needed(one, plan)
        table.add_row(one.criterion.name, f"{share(one.assumed.rate)}", here, like_it, f"{one.labelled:,}", _now(one))
    return Group(table, Text(""), *(Text(f"- {line}") for line in _assumptions(plan)))


def _needed(one: PlannedCriterion, plan: SamplingPlan) -> tuple[str, str]:
    like_it = f"all give ±{100 * one.reach:.1f}" if one.like_it is None else f"{one.like_it:,}"
    return f"{one.here:,} of {plan.pairs:,}", like_it


def _now(one: PlannedCriterion) -> str:
    if one.now_here is None or one.now_like_it is None:
        return "–"
    return f"±{100 * one.now_here:.1f}, ±{100 * one.now_like_it:.1f}"


def _assumptions(plan: SamplingPlan) -> Iterator[str]:
    for one in plan.criteria:
        yield f"{one.criterion.name}, {share(one.assumed.rate)}: {one.assumed.whence}."
    yield "Pairs are drawn at random (--sample N); each gets a label, or the majority of several; ties are left out."
    yield f"For this set: {plan.pairs:,} pairs and no others; what is not drawn is all that is unknown."
    yield (
        f"For sets like it: the {plan.pairs:,} pairs stand for more of their kind, in {plan.clusters:,} clusters of "
        f"shared images, texts or scenarios; correlation within them {plan.correlation:.2f}, "
        f"{plan.correlation_whence}. The tool's intervals are of this kind."
    )
    yield "People's own errors are not in it. With a good judge in the run, `calibrate` needs fewer labels."


def import_view(found: Imported) -> RenderableType:
    lines = [
        Text(f"{plural(found.taken, 'label')} taken from {plural(found.rows, 'row')}; {found.same:,} were here already")
    ]
    for why, count in found.left.items():
        lines.append(Text(f"  not taken: {why}: {count:,}"))
        lines += [Text(f"    {example}", style="dim") for example in found.examples[why]]
    return Group(*lines)
