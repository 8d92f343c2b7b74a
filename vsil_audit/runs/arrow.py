"""Pairs, problems, image facts and findings as Arrow tables: the one place that knows the columns on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import pyarrow as pa

from vsil_audit.features.facts import ImageError, ImageFacts, OcrLine
from vsil_audit.pair import (
    Abstained,
    Evidence,
    Failed,
    Finding,
    ImageRef,
    Origin,
    Outcome,
    Pair,
    Problem,
    Scored,
    Verdict,
)

_TEXT_FIELDS = ("category", "subcategory", "description", "key_phrase", "label", "twin_of", "source", "split")
_IMAGE = pa.struct([("name", pa.string()), ("kind", pa.string())])

PAIRS = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.large_string()),
        ("images", pa.list_(_IMAGE)),
        *((name, pa.string()) for name in _TEXT_FIELDS),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("meta", pa.string()),
    ]
)
PROBLEMS = pa.schema(
    [
        ("kind", pa.string()),
        ("detail", pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("column", pa.string()),
        ("remedy", pa.string()),
        ("fatal_for_pair", pa.bool_()),
        ("rows", pa.int64()),
    ]
)
_LINE = pa.struct(
    [("text", pa.string()), ("confidence", pa.float64()), ("box", pa.list_(pa.float64(), 4))],
)
FACTS = pa.schema(
    [
        ("pair", pa.int32()),
        ("name", pa.string()),
        ("digest", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("notes", pa.list_(pa.string())),
        ("phash", pa.uint64()),
        ("ocr", pa.list_(_LINE)),
        ("ocr_error", pa.string()),
        ("error_kind", pa.string()),
        ("error_detail", pa.string()),
    ]
)
THUMBNAILS = pa.schema([("digest", pa.string()), ("jpeg", pa.binary())])
FINDINGS = pa.schema(
    [
        ("detector", pa.string()),
        ("pair_id", pa.string()),
        ("outcome", pa.string()),
        ("value", pa.float64()),
        ("reason", pa.string()),
        ("reason_detail", pa.string()),
        ("verdict", pa.string()),
        ("kind", pa.string()),
        ("evidence", pa.string()),
        ("details", pa.string()),
    ]
)


def import_pandas_early() -> None:
    """Have pyarrow import pandas now, which it does at its first conversion wherever pandas is installed: beside
    threads at work that import takes about twice as long."""
    pa.array([], pa.null())


def canonical_json(value: object) -> str:
    """JSON text that is the same for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def pairs_to_table(pairs: Iterable[Pair]) -> pa.Table:
    rows = []
    for pair in pairs:
        row: dict[str, object] = {name: getattr(pair, name) for name in ("id", "text", *_TEXT_FIELDS)}
        row["images"] = [{"name": ref.name, "kind": _ref_kind(ref)} for ref in pair.images]
        row["file"], row["row"] = pair.origin.file, pair.origin.row
        row["meta"] = canonical_json(dict(pair.meta)) if pair.meta else None
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=PAIRS)


def pairs_from_table(table: pa.Table) -> tuple[Pair, ...]:
    offsets, refs = _nested(table["images"])
    images = [_ref(*ref) for ref in zip(refs.field("name").to_pylist(), refs.field("kind").to_pylist(), strict=True)]
    columns = {name: table[name].to_pylist() for name in ("id", "text", *_TEXT_FIELDS, "file", "row", "meta")}
    texts = zip(*(columns[name] for name in _TEXT_FIELDS), strict=True)
    return tuple(
        Pair(
            pair_id,
            text,
            tuple(images[offsets[i] : offsets[i + 1]]),
            origin=Origin(file, row),
            meta=MappingProxyType(json.loads(meta) if meta else {}),
            **dict(zip(_TEXT_FIELDS, said, strict=True)),
        )
        for i, (pair_id, text, said, file, row, meta) in enumerate(
            zip(columns["id"], columns["text"], texts, columns["file"], columns["row"], columns["meta"], strict=True)
        )
    )


def _nested(column: pa.ChunkedArray) -> tuple[list[int], pa.Array]:
    """A column of n lists as n + 1 offsets into one flat array of their items. A null is an empty list."""
    lists = column.combine_chunks()
    return lists.offsets.to_pylist(), lists.values


def _ref_kind(ref: ImageRef) -> str:
    return "path" if ref.path is not None else "data" if ref.data is not None else "url"


def _ref(name: str, kind: str) -> ImageRef:
    """An image as a run folder remembers it: by name only. The bytes of an embedded image are not kept."""
    if kind == "data":
        return ImageRef(name, data=b"")
    return ImageRef(name, url=name) if kind == "url" else ImageRef(name, path=name)


def problems_to_table(problems: Iterable[Problem]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "kind": p.kind,
                "detail": p.detail,
                "file": p.origin.file,
                "row": p.origin.row,
                "column": p.column,
                "remedy": p.remedy,
                "fatal_for_pair": p.fatal_for_pair,
                "rows": p.rows,
            }
            for p in problems
        ],
        schema=PROBLEMS,
    )


def problems_from_table(table: pa.Table) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            r["kind"],
            r["detail"],
            Origin(r["file"], r["row"]),
            r["column"],
            r["remedy"],
            r["fatal_for_pair"],
            r["rows"],
        )
        for r in table.to_pylist()
    )


def facts_to_table(images: Sequence[Sequence[ImageFacts]]) -> pa.Table:
    """One row per image, `pair` being the position of its pair in the batch."""
    rows = [
        {
            "pair": position,
            "name": f.name,
            "digest": f.digest,
            "width": f.width,
            "height": f.height,
            "format": f.format,
            "notes": list(f.notes),
            "phash": f.phash,
            "ocr": None
            if f.ocr is None
            else [{"text": line.text, "confidence": line.confidence, "box": list(line.box)} for line in f.ocr],
            "ocr_error": f.ocr_error,
            "error_kind": f.error.kind if f.error else None,
            "error_detail": f.error.detail if f.error else None,
        }
        for position, facts in enumerate(images)
        for f in facts
    ]
    return pa.Table.from_pylist(rows, schema=FACTS)


def facts_from_table(table: pa.Table, n_pairs: int) -> tuple[tuple[ImageFacts, ...], ...]:
    """The facts of `n_pairs` pairs, as they went in, without thumbnails."""
    images: list[list[ImageFacts]] = [[] for _ in range(n_pairs)]
    names = ("pair", "name", "digest", "width", "height", "format", "notes", "phash")
    columns = [table[name].to_pylist() for name in names]
    errors = zip(*(table[name].to_pylist() for name in ("ocr_error", "error_kind", "error_detail")), strict=True)
    for row, lines, (ocr_error, kind, detail) in zip(zip(*columns, strict=True), _ocr(table), errors, strict=True):
        pair, name, digest, width, height, form, notes, phash = row
        error = ImageError(kind, detail) if kind else None
        images[pair].append(
            ImageFacts(name, digest, width, height, form, tuple(notes), phash, lines, ocr_error, error=error)
        )
    return tuple(tuple(facts) for facts in images)


def _ocr(table: pa.Table) -> Iterator[tuple[OcrLine, ...] | None]:
    """The lines of each image; None where no text was looked for."""
    offsets, flat = _nested(table["ocr"])
    numbers = flat.field("box").flatten().to_pylist()
    boxes = zip(numbers[::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True)
    lines = [
        OcrLine(*line)
        for line in zip(flat.field("text").to_pylist(), flat.field("confidence").to_pylist(), boxes, strict=True)
    ]
    for i, looked in enumerate(table["ocr"].is_valid().to_pylist()):
        yield tuple(lines[offsets[i] : offsets[i + 1]]) if looked else None


def thumbnails_to_table(thumbnails: Iterable[tuple[str, bytes]]) -> pa.Table:
    return pa.Table.from_pylist([{"digest": d, "jpeg": j} for d, j in thumbnails], schema=THUMBNAILS)


def findings_to_table(findings: Iterable[Finding]) -> pa.Table:
    return pa.Table.from_pylist([_finding_row(f) for f in findings], schema=FINDINGS)


def _finding_row(f: Finding) -> dict[str, object]:
    value, reason, detail = None, None, None
    match f.outcome:
        case Scored(number):
            outcome, value = "scored", number
        case Abstained(why):
            outcome, reason = "abstained", why
        case Failed(kind, text):
            outcome, reason, detail = "failed", kind, text
    return {
        "detector": f.detector,
        "pair_id": f.pair_id,
        "outcome": outcome,
        "value": value,
        "reason": reason,
        "reason_detail": detail,
        "verdict": f.verdict.value,
        "kind": f.kind,
        "evidence": canonical_json([[e.start, e.end, e.matched, e.where] for e in f.evidence]) if f.evidence else None,
        "details": canonical_json(dict(f.details)) if f.details else None,
    }


def findings_from_table(table: pa.Table) -> tuple[Finding, ...]:
    columns = [table[name].to_pylist() for name in FINDINGS.names]
    return tuple(
        Finding(
            detector=detector,
            pair_id=pair_id,
            outcome=_outcome(outcome, value, reason, reason_detail),
            verdict=_VERDICTS[verdict],
            kind=kind,
            evidence=tuple(Evidence(*e) for e in json.loads(evidence)) if evidence else (),
            details=MappingProxyType(json.loads(details) if details else {}),
        )
        for detector, pair_id, outcome, value, reason, reason_detail, verdict, kind, evidence, details in zip(
            *columns, strict=True
        )
    )


_VERDICTS = {verdict.value: verdict for verdict in Verdict}  # looking an enum's member up this way is faster


def _outcome(outcome: str, value: float, reason: str, detail: str) -> Outcome:
    match outcome:
        case "scored":
            return Scored(value)
        case "abstained":
            return Abstained(reason)
        case _:
            return Failed(reason, detail)
