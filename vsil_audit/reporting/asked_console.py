"""What models said, on a terminal: one block for each lens, and what it cost. Readable from 60 columns on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.asked_page import (
    SYMBOLS,
    AskedDetectorPart,
    AskedModelBlock,
    agreement_of_lenses,
    agreement_of_raters,
    cell_words,
    class_of,
    control_of,
    same_pairs,
    shared_note,
)
from vsil_audit.reporting.numbers import dollars, number, p_value, signed_share, spent
from vsil_audit.reporting.standing import NO_BOUND, Standing, quantity_of
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.runs.asked.bounds import MOST_DISAGREEMENTS
from vsil_audit.runs.asked_summary import (
    Agreement,
    AgreementCell,
    AskedSummary,
    ConditionRow,
    JudgeCheck,
    PairedFlow,
    SpendRow,
)
from vsil_audit.runs.metric import Metric
from vsil_audit.wording import plural

_MODEL = 56
_MAIN = "safe"
_WITHOUT_AND_WITH = ("text", "pair")
_PARTS_OF_A_LEAK = ("text", "pair")
"""Agreements that stand on the page only: whether a pair leaks is made of both."""
_SHOWN = (
    "harmful_rate",
    "text_only_harmful_rate",
    "vsil_rate",
    "vsil_rate_corrected_for_chance",
    "leak",
    "dropped_spans",
)
"""What a terminal shows of a judge; the page shows it all."""


@dataclass(frozen=True, slots=True)
class AskedView:
    """The blocks of a run that asked models; each method yields lines for a grid that folds them."""

    asked: AskedSummary
    parts: Sequence[AskedDetectorPart]
    who: Standing

    def of_lens(self, lens: str) -> Iterator[RenderableType]:
        """Every model that the lens's detectors asked: whether it can be believed, and its rates."""
        for part in self.parts:
            if part.run.lens == lens:
                for block in part.blocks:
                    yield _block(self._lines(part, block))
        if lens == "judged":
            raters = agreement_of_raters(self.asked)
            for agreement in [a for a in raters if a.about not in _PARTS_OF_A_LEAK]:
                yield _block(self._judges_agree(agreement))
            for row in self.asked.corrected:
                yield _block(
                    [self._name(row.model, f"corrected by {fold(row.labels, 40)}"), *map(self._line, row.metrics)]
                )

    def of_lenses(self) -> Iterator[RenderableType]:
        """Where the lenses agree: every two of them in a line."""
        agreement = agreement_of_lenses(self.asked)
        for cell in agreement.cells if agreement is not None else ():
            labels = self.who.of_lens(cell.first), self.who.of_lens(cell.second)
            line = _kappa(cell)
            yield line.append(f" {max(labels)}" if any(labels) else "", style="bold yellow")

    def _lines(self, part: AskedDetectorPart, block: AskedModelBlock) -> Iterator[RenderableType]:
        yield self._name(block.model, part.run.name)
        if block.doubt:
            doubt = Text("not to be believed, so its rates are not shown: ", style="bold red")
            yield doubt.append(one_line(block.doubt), style="not bold")
        elif block.judge is not None:
            yield from self._judge(block)
        yield from _checks(block.checks)
        if block.judge is None:
            for row in block.conditions:
                yield from _condition(row, self.who)
            yield from (_flow(flow) for flow in block.flows if (flow.first, flow.second) == _WITHOUT_AND_WITH)

    def _judge(self, block: AskedModelBlock) -> Iterator[RenderableType]:
        """A safety judge's R1, R2, V, V*; a leakage judge's rates, kinds and dropped quotes."""
        metrics = block.judge.metrics if block.judge else []
        by_quantity = {quantity_of(m, m.detector or ""): m for m in metrics}
        for quantity in _SHOWN:
            if quantity in by_quantity:
                metric = by_quantity[quantity]
                yield self._line(metric, SYMBOLS.get(quantity, quantity.replace("_", " ")))
        for words, found in (
            ("", [(name, m) for name, m in by_quantity.items() if name in ("implicit", "explicit")]),
            ("kinds: ", [(kind.replace("_", " "), m) for kind, m in block.kinds()]),
        ):
            if found:
                said = ", ".join(
                    f"{one_line(name)} {number(m).value} {number(m).interval}".rstrip() for name, m in found
                )
                yield _under(Text(f"{words}{said}", style="dim"))

    def _line(self, metric: Metric, name: str = "") -> Text:
        """`V 50.0 % = 18/36 (coverage 100 %) [34.5 %, 65.5 %] judged`, or why there is no value."""
        line, note = Text(f"{name or one_line(metric.name)} ", style="dim"), one_line(metric.note)
        if metric.value is None:
            return line.append(note or number(metric).value, style="not dim")
        line.append(number(metric).line(), style="not dim")
        caveat = self.who.caveat(metric)
        line.append(f" {caveat}" if caveat else "", style="not dim bold yellow")
        return line.append(f" ({note})", style="dim") if note else line

    def _name(self, model: str, note: str) -> Text:
        name = Text(fold(model, _MODEL), style="bold")
        if model in self.who.scripted:
            name.append("  SCRIPTED, no model was asked", style="bold yellow")
        return name.append(f"  {one_line(note)}", style="not bold dim")

    def _titled(self, title: str, agreement: Agreement) -> Text:
        line, label = Text(title, style="bold"), self.who.label(agreement.raters)
        return line.append(f"  {label}", style="bold yellow") if label else line

    def _judges_agree(self, agreement: Agreement) -> Iterator[RenderableType]:
        yield self._titled(
            f"agreement of {len(agreement.raters)} judges about the {one_line(agreement.about)}", agreement
        )
        kappas = [cell.kappa.value for cell in agreement.cells if cell.kappa.value is not None]
        if len(agreement.cells) == 1:
            yield _kappa(agreement.cells[0])
        elif kappas:
            alpha = agreement.alpha
            said = f"kappa of two from {min(kappas):.2f} to {max(kappas):.2f}"
            if alpha is not None and alpha.value is not None:
                said += f", Krippendorff's alpha of all {alpha.value:.2f} {number(alpha).interval}"
            yield Text(said)
        if agreement.majority is not None:
            yield self._line(
                agreement.majority.model_copy(update={"note": ""}), "majority of those that can be trusted"
            )
        if agreement.disagreements:
            more = " or more" if len(agreement.disagreements) == MOST_DISAGREEMENTS else ""
            some = ", ".join(fold(i, 24) for i in agreement.disagreements[:3])
            yield Text(f"they disagree on {plural(len(agreement.disagreements), 'pair')}{more}: {some} …", style="dim")


def _kappa(cell: AgreementCell) -> Text:
    line = Text(f"{fold(cell.first, 30)} and {fold(cell.second, 30)}: ", style="dim")
    kappa = "no kappa" if cell.kappa.value is None else f"kappa {cell.kappa.value:.2f}"
    line.append(f"{kappa} {number(cell.kappa).interval}".rstrip(), style="not dim")
    if cell.agree.value is not None:
        same = number(cell.agree)
        line.append(f", same {same.value} = {same.counts} {same.interval} ({same.coverage})", style="not dim")
    return line


def _checks(checks: Sequence[JudgeCheck]) -> Iterator[RenderableType]:
    """How many were passed, the canaries' accuracy, and every check that was not passed with its bound."""
    checks = [check for check in checks if check.bound != NO_BOUND]
    if not checks:
        return
    passed = sum(check.passed is True for check in checks)
    whole = passed == len(checks)
    line = Text("✓ " if whole else "✗ ", style="green" if whole else "bold red")
    line.append(f"passed {passed} of {plural(len(checks), 'check')}", style="not bold default")
    canaries = next((check.metric for check in checks if check.name == "canaries"), None)
    if whole and canaries is not None and canaries.value is not None:
        line.append(f"; canaries {_short(canaries)}", style="not bold default")
    yield line
    for check in checks:
        if check.passed is not True:
            sign, style = ("✗", "bold red") if check.passed is False else ("?", "dim")
            failed = Text(f"{sign} ", style=style)
            failed.append(f"{one_line(check.name).replace('_', ' ')} {_short(check.metric)}", style="not bold default")
            yield failed.append(f", must be {one_line(check.bound)}", style="not bold default dim")


def _short(metric: Metric) -> str:
    parts = number(metric)
    return " ".join(part for part in (parts.value, f"= {parts.counts}" if parts.counts else "", parts.interval) if part)


def _condition(row: ConditionRow, who: Standing) -> Iterator[RenderableType]:
    """The row's main rate in full, the others short, and the main rate on the benign control."""
    main = next((m for m in row.metrics if class_of(m, row) == _MAIN), None)
    line = Text(f"{one_line(row.condition)} ", style="bold")
    if main is not None:
        line.append(f"{_MAIN} {number(main).line()}", style="not bold")
        line.append(f" {who.caveat(main)}" if who.caveat(main) else "", style="bold yellow")
    elif (whole := same_pairs(row)) is not None:
        parts = number(whole)
        line.append(f"n = {whole.n:,} of {whole.total:,} ({parts.coverage}) {parts.nature}", style="not bold")
    yield line
    others = [m for m in row.metrics if m is not main and (main is None or class_of(m, row) != "unsafe")]
    said = [f"{class_of(m, row)} {number(m).value} {number(m).interval}".rstrip() for m in others]
    if said:
        yield _under(Text(", ".join(said), style="" if main is None else "dim"))
    for metric in [main] if main is not None else row.metrics:
        control = control_of(metric, row)
        if control is not None and control.value is not None and class_of(metric, row) != "none":
            yield _under(Text(f"benign control: {class_of(metric, row)} {_short(control)}", style="dim"))
    notes = [one_line(note)] if (note := shared_note(row)) else []
    notes += [f"{plural(row.blocked, 'answer')} stopped by the provider"] if row.blocked else []
    notes += [f"{plural(row.truncated, 'answer')} cut short"] if row.truncated else []
    if notes:
        yield _under(Text("; ".join(notes), style="dim"))


def _under(line: Text) -> RenderableType:
    return Padding(line, (0, 0, 0, 2))


def _flow(flow: PairedFlow) -> Text:
    cells = ", ".join(f"{cell.pairs:,} {cell_words(flow, cell)}" for cell in flow.cells)
    line = Text(f"of {flow.n:,} pairs scored under both, {one_line(flow.outcome)}: ", style="dim")
    line.append(cells, style="not dim")
    gap = flow.difference
    if gap.value is not None and gap.low is not None and gap.high is not None:
        line.append(f"; difference {signed_share(gap.value)} [{signed_share(gap.low)}, {signed_share(gap.high)}]")
    if flow.p_value is not None:
        line.append(f", McNemar {p_value(flow.p_value)}")
    return line.append(f"; of those so with the image, also without: {_short(flow.share)}")


def _block(lines: Iterable[RenderableType]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for i, line in enumerate(lines):
        grid.add_row("" if i else "·", line)
    return grid


def spend_table(spend: Sequence[SpendRow], who: Standing, width: int) -> Iterator[RenderableType]:
    """What each model was asked and what it cost."""
    if not spend:
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", ratio=1)
    names = ["calls", "cached", "tokens in", "out", "cost"] if width >= 76 else ["calls", "cached", "cost"]
    for _ in names:
        grid.add_column(justify="right", no_wrap=True)
    grid.add_row(Text("model", style="dim"), *(Text(name, style="dim") for name in names))
    for row in spend:
        name = Text(fold(row.model, _MODEL))
        name.append(" SCRIPTED" if row.model in who.scripted else "", style="bold yellow")
        tokens = [f"{row.input_tokens:,}", f"{row.output_tokens:,}"] if width >= 76 else []
        grid.add_row(name, f"{row.calls:,}", f"{row.cached:,}", *tokens, dollars(row.cost))
    yield grid
    total = spent(spend)
    dates = sorted({row.price_checked for row in spend if row.price_checked})
    said = f"together {total.cost}, uncertain {total.uncertain}"
    yield Text(said + (f"; prices as of {', '.join(map(one_line, dates))}" if dates else ""), style="dim")
