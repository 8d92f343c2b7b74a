"""Drawing what people are to label: at random, recorded in the run folder, so that the labels are known as random.

Each draw is a simple random sample of what was not drawn before, so that all draws together are one as well. It is not
stratified by a judge's verdicts: that would help the leak rate of that one judge, and bias its sensitivity and
specificity, kappa, and everything about the other judges.
"""

from __future__ import annotations

import csv
import io
import random
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from vsil_audit.calibration.labels import Item, Question
from vsil_audit.detectors.chat import Part
from vsil_audit.errors import ConfigurationError, RunFolderError
from vsil_audit.reporting.untrusted import csv_cell
from vsil_audit.runs.asked.columns import LLM_JUDGE, SAFETY_JUDGE, TEXT_REFUSAL
from vsil_audit.runs.folder import RunFolder, write_atomically
from vsil_audit.runs.metric import Model
from vsil_audit.runs.summary import Summary

FILE = "calibration-draws.json"
_MOST_BYTES = 128 << 20


class Draw(Model):
    """`items`: id, model, condition and sample of each; of a pair the id alone."""

    seed: int
    file: str = Field(description="the file to fill in, by name; none for a review")
    items: list[tuple[str, str, str, int]]


class Draws(Model):
    schema_version: int = 1
    fingerprint: str
    draws: tuple[Draw, ...] = ()

    def items(self) -> frozenset[Item]:
        return frozenset(Item(*item) for draw in self.draws for item in draw.items)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn now: how many, of how many, and the columns to fill in. `harmful`: the share of pairs that the
    judges call harmful, on average; None where no number says so."""

    file: Path
    count: int
    of: int
    columns: tuple[str, ...]
    responses: bool
    harmful: float | None


def read_draws(folder: RunFolder) -> Draws:
    """None drawn where there is no record, or it is of other data. Raises RunFolderError for a damaged one."""
    file, fingerprint = folder.path / FILE, folder.manifest().fingerprint
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            raise RunFolderError(f"{file} is not a record of draws", f"Remove {FILE}.")
        found = Draws.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Draws(fingerprint=fingerprint)
    except (OSError, ValidationError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error}", f"Remove {FILE}; labels then count as random only with --sample."
        ) from error
    return found if found.fingerprint == fingerprint else Draws(fingerprint=fingerprint)


def draw(folder: RunFolder, count: int, output: Path, seed: int = 0, *, responses: bool = False) -> Drawn:
    """Write `count` pairs, or answers of target models, drawn at random, as a CSV to fill in at `output`.

    The verdicts stay out of it, so that they lead nobody. Raises ConfigurationError when `output` is there already, or
    when nothing is left to draw.
    """
    if count < 1:
        raise ConfigurationError(f"cannot draw {count} items", "Draw at least one; 150 is a good beginning.")
    if output.exists():
        raise ConfigurationError(
            f"{output} is there already; labels may stand in it", "Name another file with --output."
        )
    if output.suffix.lower() != ".csv" or not output.resolve().parent.is_dir():
        raise ConfigurationError(f"cannot write {output}", "Name a .csv file in a folder that exists.")
    summary = folder.summary()
    columns = label_columns(summary, responses=responses)
    before = read_draws(folder)
    already = before.items()
    known = list(_responses(folder)) if responses else [Item(pair_id) for pair_id in folder.pair_ids()]
    left = [item for item in known if item not in already]
    if not left:
        raise ConfigurationError(
            f"nothing is left to draw: all {len(known):,} were drawn before" if known else "there is nothing to draw",
            "Label those." if known else "Scan a benchmark with models first.",
        )
    chosen = _drawn(before, left, count, seed)
    _record(folder, before, Draw(seed=seed, file=output.name, items=[tuple(item) for item in chosen]))
    write_atomically(output, _csv(folder, chosen, columns, responses=responses).encode("utf-8", "replace"))
    harmful = None if responses else _harmful(summary)
    return Drawn(output, len(chosen), len(known), columns, responses, harmful)


def draw_pairs(folder: RunFolder, count: int, seed: int = 0, *, but: Collection[str] = ()) -> list[str]:
    """Draw `count` pairs at random for a review, which keeps their labels itself: recorded as `draw` does, no file.

    Pairs that were drawn before are taken first, in their order, unless they are among `but`: all draws together are
    one random sample, and someone's labels of one pair serve both. Fewer are returned where there are no more.
    """
    before = read_draws(folder)
    drawn = [Item(*item) for draw in before.draws for item in draw.items]
    already = [item.pair_id for item in drawn if not item.model]
    first = [pair_id for pair_id in already if pair_id not in set(but)][:count]
    left = [Item(pair_id) for pair_id in folder.pair_ids() if pair_id not in {*already, *but}]
    if len(first) == count or not left:
        return first
    more = _drawn(before, left, count - len(first), seed)
    _record(folder, before, Draw(seed=seed, file="", items=[tuple(item) for item in more]))
    return [*first, *(item.pair_id for item in more)]


def _drawn(before: Draws, left: Sequence[Item], count: int, seed: int) -> list[Item]:
    # the number of draws before takes part, or equal seeds would give dependent draws
    chance = random.Random(f"{seed} {len(before.draws)}")  # noqa: S311 - not for security
    return chance.sample(left, min(count, len(left)))


def _record(folder: RunFolder, before: Draws, drawn: Draw) -> None:
    draws = before.model_copy(update={"draws": (*before.draws, drawn)})
    write_atomically(folder.path / FILE, draws.model_dump_json().encode())


def _harmful(summary: Summary) -> float | None:
    rates = [m.value for m in summary.metrics if m.name.startswith(f"{SAFETY_JUDGE}.harmful_rate@")]
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) if known else None


def label_columns(summary: Summary, *, responses: bool) -> tuple[str, ...]:
    """The questions that this run's models were asked. Raises ConfigurationError where there is none."""
    asked = {d for model in summary.asked.models for d in model.detectors} if summary.asked else set()
    if responses:
        found = (Question.RESPONSE,) if TEXT_REFUSAL in asked else ()
    else:
        found = (
            *((Question.TEXT, Question.PAIR) if SAFETY_JUDGE in asked else ()),
            *((Question.LEAK,) if LLM_JUDGE in asked else ()),
        )
    if not found:
        who, how = ("target model", "--targets") if responses else ("judge", "--judges")
        raise ConfigurationError(f"no {who} took part in this run", f"Scan with {how} MODEL first.")
    return tuple(question.value for question in found)


def _responses(folder: RunFolder) -> Iterator[Item]:
    for table in folder.observation_tables(
        TEXT_REFUSAL, ("part", "pair_id", "model", "condition", "sample", "outcome")
    ):
        for row in table.to_pylist():
            if row["part"] == Part.SET.value and row["condition"] and row["outcome"] == "scored":
                yield Item(row["pair_id"], row["model"], row["condition"], row["sample"])


def _csv(folder: RunFolder, chosen: Sequence[Item], columns: Sequence[str], *, responses: bool) -> str:
    """In the order drawn, which says nothing of the verdicts."""
    pairs = _shown(folder, {item.pair_id for item in chosen})
    answers = _answers(folder, set(chosen)) if responses else {}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    asked = ("model", "condition", "sample", "response") if responses else ()
    writer.writerow(["id", "text", "image", *asked, *columns, "annotator"])
    for item in chosen:
        said = (item.model, item.condition, item.sample, answers.get(item, "")) if responses else ()
        cells = [item.pair_id, *pairs[item.pair_id], *said]
        writer.writerow([*map(csv_cell, cells), *([""] * (len(columns) + 1))])
    return buffer.getvalue()


def _shown(folder: RunFolder, pair_ids: set[str]) -> dict[str, tuple[str, str]]:
    """Text and names of the images of each pair."""
    return {
        pair.id: (pair.text, " | ".join(facts.name for facts in images))
        for batch in folder.batches()
        for pair, images in batch
        if pair.id in pair_ids
    }


def _answers(folder: RunFolder, chosen: set[Item]) -> dict[Item, str]:
    found: dict[Item, str] = {}
    for table in folder.observation_tables(TEXT_REFUSAL, ("part", "pair_id", "model", "condition", "sample", "answer")):
        for row in table.to_pylist():
            item = Item(row["pair_id"], row["model"], row["condition"], row["sample"])
            if row["part"] == Part.SET.value and item in chosen:
                found[item] = row["answer"] or ""
    return found
