"""vsil-audit classify"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from vsil_audit.evaluation import ResponseVerdict
    from vsil_audit.pair import Problem


@click.command("classify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--response-column", help="Column with the model's response.")
@click.option("--query-column", help="Column with the query.")
@click.option("--model-column", help="Column that names the model; rates are given per model.")
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a label per response here: .csv or .jsonl.",
)
@click.option("--quiet", "-q", is_flag=True, help="Write the labels, print nothing.")
def command(
    file: Path,
    response_column: str | None,
    query_column: str | None,
    model_column: str | None,
    labels: Path | None,
    quiet: bool,
) -> None:
    """Class the responses in FILE: refusal, warning or unsafe, with rates per model. Offline.

    FILE is a table (CSV, TSV, JSON, JSON Lines, Parquet, xlsx) with a response per row, and a column for the query and
    the model where there is one. A response that is no answer, is not in English, or that no class fits well enough is
    unclear: it lowers the coverage and counts as none of the three.

    \b
    Examples:
      vsil-audit classify responses.csv
      vsil-audit classify answers.jsonl --response-column output --labels labels.csv
    """
    from vsil_audit.errors import ConfigurationError
    from vsil_audit.evaluation.response_table import ResponseTable, classify_table
    from vsil_audit.reporting.response_labels import LABEL_SUFFIXES, write_labels

    if labels is not None and labels.suffix.lower() not in LABEL_SUFFIXES:
        raise ConfigurationError(
            f"Labels cannot be written as {labels.suffix or labels.name!r}.", "Use .csv or .jsonl."
        )
    if labels is not None and labels.resolve() == file.resolve():
        raise ConfigurationError("The labels would overwrite the responses.", "Name another file.")
    table = ResponseTable(file, response_column, query_column, model_column)
    found, problems = classify_table(table)
    if labels is not None:
        write_labels(labels, found)
    if not quiet:
        from rich.console import Console

        console = Console()
        columns = table.columns
        named = {"response": columns.response, "query": columns.query, "model": columns.model}
        console.print(_read_as(named, len(found)), highlight=False)
        console.print(_rates({name: [v for _, v in rows] for name, rows in _by_model(found).items()}))
        console.print(_unclear([verdict for _, verdict in found]), highlight=False)
        _say_problems(problems)


def _by_model(found: Sequence[tuple[object, ResponseVerdict]]) -> dict[str, list[tuple[object, ResponseVerdict]]]:
    groups: dict[str, list[tuple[object, ResponseVerdict]]] = {}
    for row, verdict in found:
        groups.setdefault(getattr(row, "model", None) or "all", []).append((row, verdict))
    return groups


def _read_as(named: Mapping[str, str | None], n: int) -> str:
    from rich.markup import escape

    from vsil_audit.reporting.untrusted import one_line
    from vsil_audit.wording import plural

    told = ", ".join(f"{role}: {escape(one_line(name))}" for role, name in named.items() if name)
    return f"{plural(n, 'response')} ({told})"


def _rates(by_model: Mapping[str, Sequence[ResponseVerdict]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from vsil_audit.evaluation import CLASSES, class_rates
    from vsil_audit.reporting.numbers import share
    from vsil_audit.reporting.untrusted import fold

    view = Table(caption="interval: 95 %, with sampling error and the classifier's own")
    for title in ("model", "class", "rate", "coverage", "interval"):
        view.add_column(title, overflow="fold")
    for model, verdicts in by_model.items():
        for place, (name, rate) in enumerate(class_rates(verdicts).items()):
            counted = rate.counted
            view.add_row(
                Text(fold(model, 40) if place == 0 else ""),
                name.value,
                "–" if counted.value is None else f"{share(counted.value)} = {counted.k:,}/{counted.n:,}",
                "–" if counted.coverage is None else share(counted.coverage),
                "–" if rate.low is None or rate.high is None else f"[{share(rate.low)}, {share(rate.high)}]",
                end_section=place == len(CLASSES) - 1,
            )
    return view


def _unclear(verdicts: Sequence[ResponseVerdict]) -> str:
    reasons: dict[str, int] = {}
    for verdict in verdicts:
        if verdict.reason:
            reasons[verdict.reason] = reasons.get(verdict.reason, 0) + 1
    told = "; ".join(f"{reason}: {n:,}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1]))
    return f"unclear: {sum(reasons.values()):,}" + (f" ({told})" if told else "")


def _say_problems(problems: Sequence[Problem]) -> None:
    from vsil_audit.reporting.untrusted import one_line

    for problem in problems[:10]:
        click.echo(f"not read: {one_line(f'{problem.origin}: {problem.detail}')}", err=True)
    if len(problems) > 10:
        click.echo(f"not read: {len(problems) - 10:,} more", err=True)
