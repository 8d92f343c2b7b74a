"""An evaluation of models on a terminal. Readable from 60 columns on; names and answers are untrusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.evaluation_parts import (
    FEW_MODELS,
    TEST_TITLES,
    AskedSo,
    EvaluatedPart,
    evaluated_parts,
    has_benign,
    is_real,
    main_condition,
    test_words,
    tests_of,
)
from vsil_audit.reporting.numbers import number, p_value, signed_share
from vsil_audit.reporting.standing import Standing
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.runs.asked.bounds import LEAST_COVERAGE, MOST_TRUNCATED
from vsil_audit.runs.evaluated.rates import CATEGORY
from vsil_audit.runs.evaluation_summary import Evaluation, PairedTest
from vsil_audit.runs.metric import Metric
from vsil_audit.wording import plural

_MODEL = 56
_MOST_MODELS = 12
"""In full on a terminal; the page shows them all."""
_MOST_TESTS = 8
_MOST_CATEGORIES = 8
_OTHERS = (("refusal", "refused"), ("warning", "warned"), ("unsafe", "unsafe"))


@dataclass(frozen=True, slots=True)
class ConsolePart:
    """A heading with a note beside it, and the lines under it, as `bullets` or as they are."""

    title: str
    note: str
    lines: list[RenderableType]
    bullets: bool = True


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """An evaluation in parts, each to be set under its heading by whoever prints them."""

    found: Evaluation
    who: Standing

    @property
    def parts(self) -> list[EvaluatedPart]:
        return evaluated_parts(self.found)

    def parts_of(self, width: int) -> Iterator[ConsolePart]:
        """What the models do, which differences are shown, the gains, the classifiers, the categories."""
        lines: list[RenderableType] = [Text(self._how(), style="dim"), *self._models()]
        yield ConsolePart(
            "What the models do", "failed, blocked and unclear answers are in no rate", lines, bullets=False
        )
        for title, tests in self._tests():
            yield ConsolePart(title, "on the same pairs, by Holm", tests)
        if gains := list(self._gains()):
            yield ConsolePart("With and without vision", "MMStar's gains in safe rate", gains)
        if classifiers := list(self._classifiers()):
            yield ConsolePart("Images alone", "how many a classifier flags", classifiers)
        if categories := self._categories(width):
            yield ConsolePart("Least safe categories", *categories, bullets=False)

    def _how(self) -> str:
        """How models were asked, in a line."""
        found = self.found
        judges = ", ".join("the offline classifier" if j == "offline" else fold(j, 40) for j in found.judged_by)
        scripted = self.who.label(self.who.classers)
        classed = f"answers classed by {judges}{f' ({scripted})' if scripted else ''}"
        return f"protocol {one_line(found.protocol)}, at most {plural(found.max_tokens, 'token')} an answer; {classed}"

    def _models(self) -> Iterator[RenderableType]:
        """Each model: its rates under each condition, beside the benign control and the balanced figure."""
        parts = self.parts
        for part in parts[:_MOST_MODELS]:
            yield _block(self._model(part, brief=len(parts) > FEW_MODELS))
        rest = len(parts) - _MOST_MODELS
        if rest > 0:
            yield Text(f"and {plural(rest, 'more model')} in the report", style="dim")
        if not has_benign(self.found) and parts:
            yield Text("no benign query was asked: a model that refuses everything would stand first", style="yellow")

    def _model(self, part: EvaluatedPart, *, brief: bool) -> Iterator[RenderableType]:
        name = Text(fold(part.model.model, _MODEL), style="bold")
        if part.model.model in self.who.scripted:
            name.append("  SCRIPTED, no model was asked", style="bold yellow")
        yield name.append("  text-only base model, not ranked" if part.model.base else "", style="not bold dim")
        for asked in part.asked:
            yield from _asked(asked, brief=brief)

    def _tests(self) -> Iterator[tuple[str, list[RenderableType]]]:
        """Of each kind, its title with how many differ, and the tests that do, the largest difference first; all of
        them where they are few."""
        for kind, title in TEST_TITLES.items():
            tests = tests_of(self.found, kind)
            if not tests:
                continue
            real = [test for test in tests if is_real(test)]
            shown = tests if len(tests) <= FEW_MODELS else sorted(real, key=_size)[:_MOST_TESTS]
            lines: list[RenderableType] = [self._test(test) for test in shown]
            if len(shown) < len(tests):
                lines.append(Text(f"{len(tests) - len(shown):,} more in the report", style="dim"))
            yield f"{title}: {len(real):,} of {len(tests):,} differ", lines

    def _test(self, test: PairedTest) -> Text:
        models = (test.first, test.second) if test.kind == "models" else (test.model,)
        line = Text("" if test.kind == "models" else f"{fold(test.model, 40)}: ", style="bold")
        line.append(fold(test_words(test), 100), style="not bold")
        where = ", ".join(part for part in (test.condition, test.variant) if part)
        line.append(f" ({fold(where, 60)})" if where else "", style="not bold dim")
        line.append(f" {_difference(test.difference)}", style="bold")
        line.append(f" n = {test.n:,}", style="not bold")
        if test.p_value is not None:
            line.append(f", {p_value(test.p_value)}", style="not bold")
        if test.p_adjusted is not None:
            said = "differs" if is_real(test) else "not shown"
            line.append(f", Holm {p_value(test.p_adjusted)}: {said}", style="bold" if is_real(test) else "not bold dim")
        label = self.who.label((*models, *self.who.classers))
        return line.append(f" {label}" if label else "", style="bold yellow")

    def _gains(self) -> Iterator[RenderableType]:
        """MMStar's gains."""
        for g in self.found.gains:
            line = Text(f"{fold(g.model, 40)} ", style="bold")
            line.append(f"MG {_difference(g.gain)}, ML {_difference(g.leakage)}, n = {g.gain.n:,}", style="not bold")
            label = self.who.label((g.model, g.base, *self.who.classers))
            line.append(f" {label}" if label else "", style="bold yellow")
            yield line.append(f"  base {fold(g.base, 40)}", style="not bold dim")

    def _classifiers(self) -> Iterator[RenderableType]:
        for row in self.found.image_classifiers:
            line = Text(f"{fold(row.classifier, _MODEL)} ", style="bold")
            yield line.append(_line(row.flagged), style="not bold")

    def _categories(self, width: int) -> tuple[str, list[RenderableType]] | None:
        """The least safely answered categories of the first model under the main condition; none of a harmless set,
        where a high safe rate is the worse."""
        parts = [part for part in self.parts if not part.model.base]
        if not parts or not self.found.harmful_pairs:
            return None
        model, condition = parts[0].model.model, main_condition(self.found)
        rows = [
            (row, safe)
            for row in self.found.rows
            if (row.slice_kind, row.model, row.condition, row.variant) == (CATEGORY, model, condition, "")
            if (safe := row.metric("safe")) is not None and safe.value is not None
        ]
        if not rows:
            return None
        rows.sort(key=lambda item: (item[1].value or 0.0, item[0].slice))
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(overflow="fold")
        for _ in range(3):
            grid.add_column(justify="right", no_wrap=True)
        for row, safe in rows[:_MOST_CATEGORIES]:
            said = number(safe)
            name = Text(fold(row.slice, 60 if width >= 110 else 28) or "no category")
            grid.add_row(name, Text(said.value, style="bold"), said.counts, Text(said.interval))
        label = self.who.label((model, *self.who.classers))
        title = f"safe rate of {fold(model, 40)} ({one_line(condition)}){f', {label}' if label else ''}"
        return title, [grid]


def _asked(asked: AskedSo, *, brief: bool) -> Iterator[RenderableType]:
    row, safe = asked.row, asked.row.metric("safe")
    if safe is None:
        return
    line = Text(f"{one_line(row.condition)} ", style="bold")
    line.append(f"{fold(row.variant, 40)} " if row.variant else "", style="not bold")
    b = asked.balance
    mixed = b is not None and b.safe_on_harmful.total < safe.total  # harmless pairs are there: to answer those is right
    headline = f"safe on harmful {_line(b.safe_on_harmful)}" if b is not None and mixed else f"safe {_line(safe)}"
    line.append(headline, style="not bold")
    low = safe.total and safe.n < LEAST_COVERAGE * safe.total
    yield line.append(" low coverage" if low else "", style="bold red")
    if mixed and not brief:
        yield _under(Text(f"all pairs, harmless ones too: safe {_short(safe)}", style="dim"))
    others = [(word, m) for name, word in _OTHERS if (m := row.metric(name)) is not None and m.value is not None]
    if others and not brief:
        said = ", ".join(f"{word} {number(m).value} {number(m).interval}" for word, m in others)
        yield _under(Text(said, style="dim"))
    if b is not None and b.balanced.value is not None:
        helpful = f"helpful on benign {_short(b.helpful_on_benign)}; balanced {_short(b.balanced)}"
        yield _under(Text(helpful))
    cut = row.truncated
    if cut is not None and cut.value:
        style = "bold red" if cut.value > MOST_TRUNCATED else "dim"
        yield _under(Text(f"cut short {_short(cut)}", style=style))
    if asked.lost and not brief:
        yield _under(Text(", ".join(asked.lost), style="dim"))


def _size(test: PairedTest) -> float:
    return -abs(test.difference.value or 0.0)


def _difference(metric: Metric) -> str:
    """`+12.0 pp [+3.1 pp, +20.4 pp]`."""
    if metric.value is None:
        return one_line(metric.note) or "not measured"
    limits = (
        ""
        if metric.low is None or metric.high is None
        else f"[{signed_share(metric.low)}, {signed_share(metric.high)}]"
    )
    return f"{signed_share(metric.value)} {limits}".rstrip()


def _line(metric: Metric) -> str:
    return number(metric).line() if metric.value is not None else f"not measured: {one_line(metric.note)}"


def _short(metric: Metric) -> str:
    said = number(metric)
    counts = f"= {said.counts}" if metric.k is not None else ""
    return " ".join(part for part in (said.value, counts, said.interval) if part)


def _under(line: Text) -> RenderableType:
    return Padding(line, (0, 0, 0, 2))


def _block(lines: Iterable[RenderableType]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for i, line in enumerate(lines):
        grid.add_row("" if i else "·", line)
    return grid
