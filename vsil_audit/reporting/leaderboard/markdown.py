"""Blocks as GitHub-flavoured Markdown. Every name is escaped: no link, image, mention, tag or cell of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vsil_audit.reporting.leaderboard.blocks import Block, Column
from vsil_audit.reporting.untrusted import fold, one_line

_LONGEST_NAME = 120
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~$&@]|:(?=//))")
_AUTOLINK = re.compile(r"(?i)\b(www)\.")
_BLOCK_START = re.compile(r"^([-+=]|\d+[.)])")


def render(blocks: Sequence[Block], notes: Sequence[str] = ()) -> str:
    """Headings of the third level; `notes` stand at the end as a list."""
    listed = "".join(f"- {escaped(note)}\n" for note in notes)
    return "\n".join([*map(_block, blocks), *([listed] if listed else [])])


def escaped(text: str) -> str:
    """`text` on one line, as itself: what Markdown or GitHub would read as more is escaped."""
    safe = _SPECIAL.sub(r"\\\1", one_line(text))
    safe = _AUTOLINK.sub(r"\1\\.", safe)
    return _BLOCK_START.sub(lambda m: "\\" + m[0] if not m[0][0].isdigit() else m[0][:-1] + "\\" + m[0][-1], safe)


def _block(block: Block) -> str:
    lines = [f"### {escaped(block.title)}", ""]
    lines += [_row([escaped(column.title) for column in block.columns]), _row([_rule(c) for c in block.columns])]
    lines += [_row([_cell(text, c) for text, c in zip(row, block.columns, strict=True)]) for row in block.rows]
    lines += [line for note in block.notes for line in ("", escaped(note))]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(column: Column) -> str:
    return "---" if column.left else "---:"


def _cell(text: str, column: Column) -> str:
    if column.left:
        return escaped(fold(text, _LONGEST_NAME) if column.name else text)
    return text  # a number of our own making
