"""Leaderboards, alignment comparisons and the paper's tables, on a terminal, as Markdown, LaTeX and JSON."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import pytest
from leaderboard_summaries import names, summary
from rich.cells import cell_len
from rich.console import Console

from vsil_audit.errors import ConfigurationError
from vsil_audit.evaluation.alignment import SetAnswers, align
from vsil_audit.evaluation.alignment_groups import AlignmentGroup, Checkpoint, paper_groups
from vsil_audit.evaluation.paper import AlignmentRole, paper_tables
from vsil_audit.reporting.leaderboard.latex import escaped as in_latex
from vsil_audit.reporting.leaderboard.markdown import escaped as in_markdown
from vsil_audit.reporting.leaderboard.report import LeaderboardReport, blocks, render, view

SNAPSHOTS = Path(__file__).with_name("snapshots")
RENEW = os.environ.get("VSIL_AUDIT_RENEW_SNAPSHOTS")

HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "x | y || z",
    "[click](https://evil.example) ![i](http://evil.example/i.png) www.evil.example <https://evil.example> @someone #1",
    "`code` **bold** _under_ ~~gone~~ $x^2$ \\| &amp; - [ ] task",
    r"\input{/etc/passwd} \write18{id} % comment & column \\ row } { ^^41 # ~ $",
    "[1cm] * -- --- \" ' ?` !`",
    "safe\u202egnp.exe\x1b[31mred\x07 中文 é\nline two\r\n| row |",
    "[bold red]markup[/bold red]",
    "",
)


def ranked(count: int) -> LeaderboardReport:
    return LeaderboardReport(leaderboard=summary(names(count)))


def whole() -> LeaderboardReport:
    """Everything at once: a leaderboard, an alignment comparison of two sources, the paper."""
    group = AlignmentGroup(
        "gnomes",
        {
            AlignmentRole.BASE: (Checkpoint(names(3)[2]),),
            AlignmentRole.TEXT: (Checkpoint(names(3)[1]),),
            AlignmentRole.MULTIMODAL: (Checkpoint(names(3)[0]),),
        },
    )
    board = summary(names(3))
    rates = {entry.model: entry.safe_on_harmful for entry in board.tables[0].rankings[0].entries}
    alignment = align(
        [group, *paper_groups()], [SetAnswers("gnomes", "pair", rates, scripted=frozenset(names(3)[1:2]))]
    )
    return LeaderboardReport(leaderboard=board, alignment=alignment, paper=paper_tables(), warnings=["a warning"])


def the_paper() -> LeaderboardReport:
    return LeaderboardReport(alignment=align(paper_groups()), paper=paper_tables())


def hostile() -> LeaderboardReport:
    models = [f"{i}{text}" for i, text in enumerate(HOSTILE)]
    board = summary(models, dataset=HOSTILE[0], remarks=HOSTILE)
    table = board.tables[0]
    rankings = [
        ranking.model_copy(
            update={
                "heat_maps": [
                    h.model_copy(update={"slices": [f"{t}{i}" for i, t in enumerate(HOSTILE[:6])]})
                    for h in ranking.heat_maps
                ]
            }
        )
        for ranking in table.rankings
    ]
    table = table.model_copy(update={"rankings": rankings, "control": HOSTILE[3], "judged_by": [HOSTILE[4]]})
    group = AlignmentGroup(
        HOSTILE[2], {AlignmentRole.TEXT: (Checkpoint(models[1]),), AlignmentRole.MULTIMODAL: (Checkpoint(models[4]),)}
    )
    rates = {entry.model: entry.safe_on_harmful for entry in rankings[0].entries}
    return LeaderboardReport(
        leaderboard=board.model_copy(update={"tables": [table]}),
        alignment=align([group], [SetAnswers(HOSTILE[4], "pair", rates)]),
        warnings=list(HOSTILE),
    )


REPORTS = {"3": lambda: ranked(3), "30": lambda: ranked(30), "paper": the_paper}


def shown(report: LeaderboardReport, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(view(report))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"  # type: ignore[attr-defined]


def same_as_before(name: str, text: str) -> None:
    file = SNAPSHOTS / name
    if RENEW:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize(("form", "suffix"), [("markdown", "md"), ("latex", "tex")])
def test_it_looks_as_it_did(name: str, form: str, suffix: str) -> None:
    """Set VSIL_AUDIT_RENEW_SNAPSHOTS=1 to write the snapshots anew, and read the difference before committing it."""
    same_as_before(f"leaderboard-{name}.{suffix}", render(REPORTS[name](), form))


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("width", [60, 80, 100])
def test_it_looks_as_it_did_on_a_terminal(name: str, width: int) -> None:
    same_as_before(f"leaderboard-{name}-{width}.txt", shown(REPORTS[name](), width))


@pytest.mark.parametrize("form", ["console", "markdown", "latex", "json"])
def test_equal_reports_give_equal_text(form: str) -> None:
    assert render(whole(), form) == render(whole(), form)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for report in (ranked(3), ranked(30), the_paper(), hostile()):
        assert max(cell_len(line) for line in shown(report, width).splitlines()) <= width


def test_every_model_keeps_its_name_on_a_narrow_terminal() -> None:
    text = re.sub(r"\s+", "", shown(ranked(30), 60))
    for i in range(30):
        assert f"gnome-{i + 1}" in text


THERE = ("under pair", "which differences", "under each condition", "graffiti", "is text enough", "Source: paper")
THERE += ("LlamaGuard3", "Claude-3.5-sonnet", "nsfw", "(scripted)", "2411.19939", "a warning", "234/240", "1 (1 to 2)")


@pytest.mark.parametrize("form", ["markdown", "latex", "console"])
@pytest.mark.parametrize("found", THERE)
def test_everything_is_there(form: str, found: str) -> None:
    assert found in render(whole(), form).replace("\\_", "_")


def test_what_a_terminal_leaves_out_is_said_there() -> None:
    text = re.sub(r"\s+", " ", shown(ranked(30), 80))
    assert "Not on a terminal, but with --format markdown, latex, html or json: refusal, warning, in no rate" in text
    assert "cut short, 2 tables." in text
    assert "graffiti" not in text
    assert "graffiti" in render(ranked(30), "markdown")


def test_json_holds_the_models() -> None:
    assert LeaderboardReport.model_validate_json(render(whole(), "json")) == whole()
    assert json.loads(render(the_paper(), "json"))["paper"]["source"] == "paper"


@pytest.mark.parametrize("form", ["markdown", "latex", "console"])
def test_a_scripted_model_is_marked_wherever_its_numbers_stand(form: str) -> None:
    scripted = names(3)[1]
    numbers = r"[−+\d].*\[.*\]"
    lines = [line for line in render(whole(), form).splitlines() if scripted in line and re.search(numbers, line)]
    assert len(lines) > 4
    assert [line for line in lines if f"{scripted} (scripted)" not in line] == []
    assert f"no model was asked for the answers of {scripted}" in render(whole(), form)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="docx"):
        render(the_paper(), "docx")


# the paper beside what was measured


def test_the_papers_numbers_stand_in_tables_of_their_own_that_say_so() -> None:
    for block in blocks(whole()):
        names_of_block = {cell for row in block.rows for cell in row}
        assert block.paper == block.title.startswith("From the paper")
        assert block.paper == any("Source: paper" in note for note in block.notes)
        if block.paper:
            assert not names_of_block & set(names(3))
            assert "rank" not in [column.title for column in block.columns]
            assert "p, adjusted" not in [column.title for column in block.columns]
        else:
            assert not names_of_block & {row.model for row in paper_tables().responses}


def test_the_paper_changes_nothing_that_was_measured() -> None:
    with_paper, without = whole(), whole().model_copy(update={"paper": None})
    measured = [[block for block in blocks(report) if not block.paper] for report in (with_paper, without)]
    assert measured[0] == measured[1]


def test_the_misprint_is_told_where_its_number_stands() -> None:
    assert "printed as 66.45" in render(the_paper(), "markdown")
    assert "62.5" in render(the_paper(), "markdown")


# hostile names


def cells_of(line: str) -> list[str]:
    """Cells of a row as GitHub splits it: at each bar that no backslash precedes."""
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_hostile_names_stay_in_their_cells_in_markdown() -> None:
    text = render(hostile(), "markdown")
    found = blocks(hostile())
    heads = [i for i, line in enumerate(text.splitlines()) if re.match(r"\| (---|---:) \|", line)]
    assert len(heads) == len(found)
    lines = text.splitlines()
    for at, block in zip(heads, found, strict=True):
        for line in lines[at - 1 : at + 1 + len(block.rows)]:
            assert len(cells_of(line)) == len(block.columns), line
        assert lines[at + 1 + len(block.rows)] == ""


def test_hostile_names_are_inert_in_markdown() -> None:
    text = render(hostile(), "markdown")
    assert not re.search(r"(?<!\\)<(?!\d)", text)
    assert not re.search(r"(?<!\\)`", text)
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\]\(|(?<!\\)\*\*|(?<!\\)~~|(?<!\\)@", text)
    assert not re.search(r"https?:(?!\\)//|https?://|\bwww\.", text)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_hostile_names_are_inert_in_latex() -> None:
    text = render(hostile(), "latex")
    assert not re.search(r"\\(input|write|immediate|def|csname)(?![a-z])", text)
    assert "^^" not in text
    assert "--" not in text
    body = "".join(line + "\n" for line in text.splitlines() if not line.startswith("% "))
    assert not re.search(r"(?<!\\)[%#~]", body)
    depth = 0
    for token in re.findall(r"\\.|[{}]", body, flags=re.DOTALL):
        depth += {"{": 1, "}": -1}.get(token, 0)
        assert depth >= 0
    assert depth == 0
    assert body.count("$") % 2 == body.count(r"\$") % 2
    assert body.isascii() or set(filter(lambda c: not c.isascii(), body)) == {"é"}


@pytest.mark.parametrize("report", [whole, hostile, lambda: ranked(30)])
def test_every_row_of_a_latex_table_has_its_columns(report) -> None:
    text = render(report(), "latex")
    tables = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}", text, flags=re.DOTALL)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == len(tables) > 0
    for layout, body in tables:
        rows = [line for line in body.splitlines() if not re.fullmatch(r"\\(top|mid|bottom)rule", line)]
        assert body.splitlines()[0] == r"\toprule"
        assert body.splitlines()[-1] == r"\bottomrule"
        for row in rows:
            assert row.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", row)) == len(layout) - 1
            assert not row.startswith(("[", "*"))


def test_latex_never_has_more_tables_waiting_than_it_can_hold() -> None:
    parts = render(whole(), "latex").split(r"\clearpage")
    assert len(parts) > 2
    assert max(part.count(r"\begin{table}") for part in parts) == 8


def test_hostile_names_are_inert_on_a_terminal() -> None:
    text = shown(hostile(), 100)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold red]" in text.replace("\n", "")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a|b", r"a\|b"),
        ("a\nb", "a b"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("12) x", r"12\) x"),
        ("+ x", r"\+ x"),
        ("# x", r"\# x"),
        ("> x", r"\> x"),
        ("http://a", r"http\://a"),
        ("WWW.a", r"WWW\.a"),
        ("a\\", "a\\\\"),
        ("plain: 3 of 4 (75 %)", "plain: 3 of 4 (75 %)"),
    ],
)
def test_markdown_is_escaped(text: str, safe: str) -> None:
    assert in_markdown(text) == safe


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        ("\\x{}", r"\textbackslash{}x\{\}"),
        ("[x]", "{[}x]"),
        ("* x", "{*} x"),
        ("----", "-{}-{}-{}-"),
        ("Δ − 1 … é", r"$\Delta$ $-$ 1 \ldots{} é"),
        ("中", "{[}U+4E2D]"),
        ("a中", "a[U+4E2D]"),
        ("ḱ", "{[}U+1E31]"),
        ("a\tb\nc", "a b c"),
    ],
)
def test_latex_is_escaped(text: str, safe: str) -> None:
    assert in_latex(text) == safe
