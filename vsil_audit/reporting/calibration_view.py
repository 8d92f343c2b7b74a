"""What people's labels say of a run's judges, and what to label next, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.calibration.report import Calibration, Confusion, Labelled
from vsil_audit.reporting.asked_page import SYMBOLS
from vsil_audit.reporting.numbers import number
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.runs.asked_summary import Corrected
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import Summary
from vsil_audit.wording import plural

_EXAMPLES = 3


def calibration_view(calibration: Calibration, summary: Summary) -> RenderableType:
    """Each judge's errors, its rates as judged and corrected, what of the labels was not used, and warnings."""
    return Group(
        *_labels(calibration),
        *(_table(row, summary) for row in calibration.corrected),
        *(_confusion(each) for each in calibration.confusions),
        *_unused(calibration),
        *(Text(f"! {one_line(warning)}", style="yellow") for warning in calibration.warnings),
    )


def _labels(calibration: Calibration) -> Iterator[Text]:
    for file in calibration.labels:
        line = Text(fold(file.name, 60), style="bold")
        yield line.append(f"  {plural(file.rows, 'row')}, sha256 {file.sha256[:12]}…", style="not bold dim")
    for labelled in calibration.labelled:
        yield Text(f"  {labelled.question}: {plural(labelled.items, 'item')} labelled, {_chosen(labelled)}")
        for cell in labelled.agreement.cells[:_EXAMPLES] if labelled.agreement else ():
            kappa = "no kappa" if cell.kappa.value is None else f"kappa {cell.kappa.value:.2f}"
            said = f"    {cell.first} and {cell.second}: {kappa} {number(cell.kappa).interval}".rstrip()
            yield Text(f"{said}, same {number(cell.agree).line()}", style="dim")
        alpha = labelled.agreement.alpha if labelled.agreement else None
        if labelled.annotators > 2 and alpha is not None and alpha.value is not None:
            said = f"    Krippendorff's alpha of {labelled.annotators} people {alpha.value:.2f}"
            yield Text(f"{said} {number(alpha).interval}", style="dim")


def _chosen(labelled: Labelled) -> str:
    return {"drawn": "drawn at random", "all": "all there are", "elsewhere": "not known to be random"}.get(
        labelled.chosen, labelled.chosen
    )


def _table(row: Corrected, summary: Summary) -> RenderableType:
    detector = next((m.detector or "" for m in row.metrics), "")
    name = Text(f"\n{fold(row.model, 50)}", style="bold").append(f"  {detector}", style="not bold dim")
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold")
    for title in ("judged", "by labels", "95 % interval", "n"):
        table.add_column(title, justify="right", no_wrap=title != "n")
    reasons = []
    for metric in row.metrics:
        quantity = _quantity(metric)
        table.add_row(Text(quantity), *_cells(metric, summary))
        if metric.value is None:
            reasons.append(Text(f"  {quantity}: {one_line(metric.note)}", style="dim"))
    return Group(name, table, *reasons)


def _quantity(metric: Metric) -> str:
    head = one_line(metric.name.partition("@")[0]).removeprefix(f"{metric.detector}.").replace("_corrected", "")
    return SYMBOLS.get(head, head.replace("_", " ").replace(".", ", "))


def _cells(metric: Metric, summary: Summary) -> Iterator[str]:
    head, at, model = metric.name.partition("@")
    judged = summary.metric(f"{head.replace('_corrected', '')}{at}{model}") if "_corrected" in head else None
    parts = number(metric)
    yield number(judged).value if judged is not None and judged.value is not None else ""
    yield parts.value.removesuffix(" kappa") if metric.value is not None else "no number"
    yield parts.interval
    yield parts.counts if metric.k is not None else f"{metric.n:,} of {metric.total:,}"


def _confusion(confusion: Confusion) -> RenderableType:
    said = f"\n{fold(confusion.model, 50)}, {one_line(confusion.condition)}: people's labels (rows), classes given"
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for label in (*confusion.labels, "no class"):
        table.add_column(label, justify="right")
    for label, counts, unscored in zip(confusion.labels, confusion.counts, confusion.unscored, strict=True):
        table.add_row(label, *(f"{count:,}" for count in (*counts, unscored)))
    return Group(Text(said, style="dim"), table)


def _unused(calibration: Calibration) -> Iterator[Text]:
    if calibration.unused:
        yield Text("\nnot used", style="bold")
    for unused in calibration.unused:
        yield Text(f"  {unused.tells}: {unused.count:,}")
        yield from _few(unused.examples, unused.count)


def _few(examples: Sequence[str], count: int) -> Iterator[Text]:
    for example in examples[:_EXAMPLES]:
        yield Text(f"    {fold(example, 160)}", style="dim")
    if count > _EXAMPLES and len(examples) >= _EXAMPLES:
        yield Text(f"    … and {count - _EXAMPLES:,} more", style="dim")
