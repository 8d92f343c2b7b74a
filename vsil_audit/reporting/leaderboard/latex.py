"""Blocks as LaTeX tables with booktabs. Every string is escaped: none holds a command, and none ends a cell."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from types import MappingProxyType

from vsil_audit.reporting.leaderboard.blocks import Block, Column
from vsil_audit.reporting.untrusted import fold, one_line

_WIDTH = 78  # characters of \footnotesize across the text of an article
_LONGEST_NAME = 48
_LAST_IN_FONTS = 0x17F  # of Latin Extended-A
_MOST_FLOATS = 8
_ENOUGH = "\\clearpage\n"  # LaTeX gives up where many tables wait for text to stand in
_HEAD = (
    "% Tables written by `vsil-audit leaderboard`.\n"
    "% Needs \\usepackage{booktabs}, and with pdfLaTeX \\usepackage[T1]{fontenc}.\n"
)
_SIGNS = MappingProxyType(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
        "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}", "–": r"\textendash{}",
        "—": r"\textemdash{}", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "Δ": r"$\Delta$", "…": r"\ldots{}",
        "≥": r"$\geq$", "≤": r"$\leq$", "’": "'", "“": "``", "”": "''", "·": r"$\cdot$",
    }
)  # fmt: skip
_STARS = re.compile(r"^[\[*]")  # after a row's end they would be read as its arguments
_ACCENTS = frozenset("\u0300\u0301\u0302\u0303\u0308\u030a\u0327\u030c")


def render(blocks: Sequence[Block], notes: Sequence[str] = ()) -> str:
    """Tables to \\input into a document; `notes` follow them as paragraphs."""
    parts = [part for block in blocks for part in block.split(_WIDTH, _width, _width, _LONGEST_NAME)]
    tables = [_table(part) + (_ENOUGH if number % _MOST_FLOATS == 0 else "") for number, part in enumerate(parts, 1)]
    return "\n".join([_HEAD, *tables, *(f"\\noindent {escaped(note)}\n" for note in notes)])


def _width(text: str) -> int:
    return len(fold(text, _LONGEST_NAME))


def escaped(text: str) -> str:
    """`text` on one line, as itself. A character that the usual fonts lack stands as its code, `[U+4E2D]`."""
    safe = "".join(_SIGNS.get(sign) or (sign if _in_fonts(sign) else f"[U+{ord(sign):04X}]") for sign in one_line(text))
    return _STARS.sub(r"{\g<0>}", safe.replace("--", "-{}-").replace("--", "-{}-"))


def _in_fonts(sign: str) -> bool:
    if sign.isascii():
        return True
    parts = unicodedata.normalize("NFD", sign)
    return (
        ord(sign) <= _LAST_IN_FONTS
        and len(parts) == 2
        and parts[0].isascii()
        and parts[0].isalpha()
        and parts[1] in _ACCENTS
    )


def _table(block: Block) -> str:
    layout = "".join("l" if column.left else "r" for column in block.columns)
    return "\n".join(
        [
            r"\begin{table}[htbp]",
            r"\centering\footnotesize",
            rf"\caption{{{escaped(block.title)}}}",
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            _row([escaped(fold(column.title, _LONGEST_NAME)) for column in block.columns]),
            r"\midrule",
            *(_row([_cell(text, c) for text, c in zip(row, block.columns, strict=True)]) for row in block.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\smallskip\parbox{{\linewidth}}{{{escaped(note)}}}" for note in block.notes),
            r"\end{table}",
            "",
        ]
    )


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(text: str, column: Column) -> str:
    return rf"\texttt{{{escaped(fold(text, _LONGEST_NAME))}}}" if column.name else escaped(text)
