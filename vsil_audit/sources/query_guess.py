"""Which column is the query: by its name first, then by what its cells look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsil_audit.errors import AmbiguousQueryError
from vsil_audit.sources.cells import is_blank, is_conversation, is_url, lookup, text_of
from vsil_audit.sources.column_names import never_a_query, query_standing
from vsil_audit.sources.files import is_image_name
from vsil_audit.sources.tables import Row

_SAMPLE_LENGTH = 70
_CONSTANT_ROWS = 10
_NAMES_ROWS, _NAMES_SHARE, _NAMES_LENGTH = 20, 0.2, 40  # so many rows, so few values, so short: names of classes
_ENDS = (".", "?", "!", "…", "。", "？", "！", "؟")


@dataclass(frozen=True, slots=True)
class QueryGuess:
    """The column chosen, or None with the `rivals` of equal standing; `candidates` could be the query, best first.

    `passed_over`: columns of sentences that are called like something else (an answer, a description), where no other
    column could be the query.
    """

    chosen: str | None
    reason: str
    candidates: tuple[str, ...]
    rivals: tuple[tuple[str, str], ...] = ()
    file: str = ""
    passed_over: tuple[str, ...] = ()

    def raise_if_ambiguous(self) -> None:
        """Raise AmbiguousQueryError, which lists the rivals, each with a sample and the option that chooses it."""
        if not self.rivals:
            return
        listed = "\n".join(f'  --text-column "{name}"    for example: {sample}' for name, sample in self.rivals)
        raise AmbiguousQueryError(
            f"{self.file}: ambiguous columns: {len(self.rivals)} of them could be the query:\n{listed}",
            "Say which one is sent to the model together with the image, with one of these options "
            "(or the same name as --view; --view all audits each).",
            self.candidates,
        )


@dataclass(frozen=True, slots=True)
class _Profile:
    """What the sampled cells of a column look like, as shares of the rows. `names`: a few short phrases over and over,
    no sentences: classes rather than queries."""

    filled: float
    prose: float
    questions: float
    mean_length: float
    constant: bool
    names: bool
    conversation: bool
    first: str


def guess_query(rows: Sequence[Row], columns: Sequence[str], file: str = "") -> QueryGuess:
    """The query among `columns`. Nothing chosen and no rivals: no column looks like text."""
    profiles = {column: _profile(rows, column) for column in columns}
    named = {c: _standing(c, profiles[c]) for c in columns}
    candidates = sorted((c for c in columns if named[c] >= 40), key=lambda c: -named[c])
    if candidates:
        best = [c for c in candidates if named[c] == named[candidates[0]]]
        return _decided(best, candidates, profiles, rows, file, f'called "{best[0]}"')
    prose = [c for c in columns if _reads_like_a_query(profiles[c])]
    # An answer read as the query is worse than no query; but a conversation called "chosen" begins with the query.
    likely = [c for c in prose if not never_a_query(c)] or [c for c in prose if profiles[c].conversation]
    asking = [c for c in likely if profiles[c].questions >= 0.5]
    likely = [c for c in likely if not (asking and profiles[c].names)]
    best = asking if len(asking) == 1 else likely
    if not best:
        return QueryGuess(None, "", (), file=file, passed_over=tuple(prose))
    reason = "the only column of sentences" if len(prose) == 1 else "the column of questions"
    return _decided(best, likely, profiles, rows, file, reason)


def _decided(
    best: list[str], candidates: list[str], profiles: dict[str, _Profile], rows: Sequence[Row], file: str, reason: str
) -> QueryGuess:
    readings = {tuple(text_of(lookup(row.values, column)) for row in rows) for column in best}
    if len(readings) > 1:
        rivals = tuple((column, profiles[column].first) for column in best)
        return QueryGuess(None, "", tuple(candidates), rivals, file)
    others = [column for column in candidates if column not in best]
    also = f"; others that could be: {', '.join(others)}" if others else ""
    return QueryGuess(best[0], f"{reason}{also}", tuple(candidates), file=file)


def _standing(column: str, profile: _Profile) -> int:
    standing = query_standing(column)
    if not standing or not profile.filled:
        return 0
    if profile.prose < 0.3:
        standing -= 50  # called like a query, but no sentences in it
    if profile.constant:
        standing -= 30
    if profile.filled < 0.5:
        standing -= 20
    return standing


def _reads_like_a_query(profile: _Profile) -> bool:
    return profile.prose >= 0.5 and profile.mean_length >= 8 and not profile.constant


def _profile(rows: Sequence[Row], column: str) -> _Profile:
    texts = []
    conversations = 0
    for row in rows:
        value = lookup(row.values, column)
        if not is_blank(value) and isinstance(value, (str, list)) and not _lists_objects(value):
            conversations += is_conversation(value)
            text = text_of(value).strip()
            if text and not is_url(text) and not is_image_name(text):
                texts.append(text)
    total = max(1, len(rows))
    if not texts:
        return _Profile(0, 0, 0, 0, constant=False, names=False, conversation=False, first="")
    mean_length = sum(map(len, texts)) / len(texts)
    return _Profile(
        filled=len(texts) / total,
        prose=sum(_is_prose(text) for text in texts) / len(texts),
        questions=sum(text.endswith(("?", "？", "؟")) for text in texts) / len(texts),
        mean_length=mean_length,
        constant=len(texts) >= _CONSTANT_ROWS and len(set(texts)) == 1,
        names=len(texts) >= _NAMES_ROWS
        and len(set(texts)) <= _NAMES_SHARE * len(texts)
        and mean_length <= _NAMES_LENGTH
        and not any(text.endswith(_ENDS) for text in texts),
        conversation=conversations * 2 > len(texts),
        first=_folded(texts[0]),
    )


def _lists_objects(value: object) -> bool:
    """Whether it is a list of objects that are no turns of a conversation: rows inside a row, not a text."""
    return isinstance(value, list) and any(isinstance(item, dict) for item in value) and not is_conversation(value)


def _is_prose(text: str) -> bool:
    """Several words; or a few letters of a script that is written without spaces."""
    return len(text.split()) >= 2 or (len(text) >= 4 and sum(ord(character) >= 0x2E80 for character in text) >= 4)


def _folded(text: str) -> str:
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= _SAMPLE_LENGTH else f"{flat[:_SAMPLE_LENGTH]}…"
