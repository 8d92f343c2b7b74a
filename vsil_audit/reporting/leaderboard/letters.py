"""Letters beside ranked models: two that share one are not shown to differ.

Compact letter display by insertion and absorption (Piepho 2004, doi:10.1198/1061860043515).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_letters

MOST_LETTERS = len(ascii_letters)


def letters(models: Sequence[str], differ: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """The letters of each of `models`, in whose order letters are given out; `differ` are the pairs shown to differ.

    None where the alphabet does not do: then only a matrix says what differs.
    """
    groups = [frozenset(models)] if models else []
    for first, second in differ:
        split = [part for g in groups for part in ((g - {first}, g - {second}) if {first, second} <= g else (g,))]
        groups = _absorbed(split)
        if len(groups) > MOST_LETTERS:
            return None
    place = {model: i for i, model in enumerate(models)}
    groups.sort(key=lambda group: sorted(place[model] for model in group))
    return {
        model: "".join(letter for letter, group in zip(ascii_letters, groups, strict=False) if model in group)
        for model in models
    }


def _absorbed(groups: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Without those that lie in another."""
    kept: list[frozenset[str]] = []
    for group in sorted(set(groups), key=lambda g: (-len(g), sorted(g))):
        if group and not any(group <= other for other in kept):
            kept.append(group)
    return kept
