"""Text from a dataset, made safe to show: control characters and direction overrides become visible signs.

Everything that a benchmark, an OCR engine or a model wrote passes through here before a terminal or a page shows it.
"""

from __future__ import annotations

import re

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Not printable as they are: C0 (but tab, newline, return), DEL, C1; marks that reorder or hide text; line and
# paragraph separators (a page's script would end a line there); tag characters; lone surrogates; non-characters.
_CONTROL_PICTURES = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A, 0x0D)} | {0x7F: 0x2421}
_HIDDEN = re.compile(
    "[\u0080-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_SPACES = re.compile(r"\s+")


def visible(text: str) -> str:
    """`text` with every control or hidden character replaced by one visible sign, so that positions stay the same.

    Tab, newline and carriage return stay: a page shows them as space, a terminal gets `one_line`.
    """
    return _HIDDEN.sub(REPLACEMENT, text.translate(_CONTROL_PICTURES))


def one_line(text: str) -> str:
    """`visible` text on a single line: every run of white space is one space."""
    return _SPACES.sub(" ", visible(text)).strip()


def fold(text: str, limit: int) -> str:
    """`one_line` text of at most about `limit` characters; what is left out is counted: `How do I … (+212)`."""
    line = one_line(text)
    if len(line) <= limit:
        return line
    head = line[: max(limit - 9, 1)].rstrip()
    return f"{head} … (+{len(line) - len(head):,})"


def cut(text: str, limit: int) -> str:
    """The first `limit` characters, visible; what is left out is said after them."""
    if len(text) <= limit:
        return visible(text)
    return f"{visible(text[:limit])} … (+ {len(text) - limit:,} characters)"


def csv_cell(value: object) -> str:
    """A cell that no spreadsheet runs as a formula: a leading `= + - @`, tab or return gets an apostrophe before it.

    Leading white space is looked through, since some spreadsheets strip it first. Numbers are left alone.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = visible(str(value))
    return f"'{text}" if text.lstrip(" \n").startswith(_FORMULA_STARTS) else text
