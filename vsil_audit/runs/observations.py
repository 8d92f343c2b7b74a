"""Observations of models as Arrow tables: the one place that knows their columns on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from types import MappingProxyType

import pyarrow as pa

from vsil_audit.detectors.chat import Observation, Part, Role
from vsil_audit.pair import Abstained, Failed, Outcome, Scored
from vsil_audit.runs.arrow import canonical_json

OBSERVATIONS = pa.schema(
    [
        ("pair_id", pa.string()),
        ("part", pa.string()),
        ("role", pa.string()),
        ("model", pa.string()),
        ("condition", pa.string()),
        ("sample", pa.int32()),
        ("outcome", pa.string()),
        ("value", pa.float64()),
        ("label", pa.string()),
        ("has_probability", pa.bool_()),
        ("reason", pa.string()),
        ("reason_detail", pa.string()),
        ("judged_by", pa.string()),
        ("expected", pa.string()),
        ("kind", pa.string()),
        ("twin", pa.string()),
        ("finish", pa.string()),
        ("answer", pa.large_string()),
        ("details", pa.string()),
    ]
)
_AS_THEY_ARE = ("pair_id", "model", "condition", "sample", "label", "has_probability", "judged_by", "expected", "kind")
_TEXTS = ("twin", "finish", "answer")


def observations_to_table(observations: Iterable[Observation]) -> pa.Table:
    return pa.Table.from_pylist([_row(o) for o in observations], schema=OBSERVATIONS)


def _row(o: Observation) -> dict[str, object]:
    row: dict[str, object] = {name: getattr(o, name) for name in (*_AS_THEY_ARE, *_TEXTS)}
    row["part"], row["role"] = o.part.value, o.role.value
    row["details"] = canonical_json(dict(o.details)) if o.details else None
    match o.outcome:
        case Scored(value):
            row |= {"outcome": "scored", "value": value}
        case Abstained(reason):
            row |= {"outcome": "abstained", "reason": reason}
        case Failed(kind, detail):
            row |= {"outcome": "failed", "reason": kind, "reason_detail": detail}
    return row


def observations_from_table(table: pa.Table) -> Iterator[Observation]:
    for row in table.to_pylist():
        yield Observation(
            **{name: row[name] for name in (*_AS_THEY_ARE, *_TEXTS)},
            part=Part(row["part"]),
            role=Role(row["role"]),
            outcome=_outcome(row),
            details=MappingProxyType(json.loads(row["details"]) if row["details"] else {}),
        )


def _outcome(row: dict[str, object]) -> Outcome:
    match row["outcome"]:
        case "scored":
            return Scored(float(row["value"]))  # type: ignore[arg-type]  # a scored row has a number
        case "abstained":
            return Abstained(str(row["reason"]))
        case _:
            return Failed(str(row["reason"]), str(row["reason_detail"]))
