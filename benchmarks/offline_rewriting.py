"""What `convert --offline` does to a benchmark: leak rate, grammar of the rewritten texts, words drawn into images.

    python benchmarks/offline_rewriting.py DATASET [--view V] [--layout L] [--out DIR] [--examples N]

- Leak rate: share of pairs that the content detectors suspect, before and after, by scans of source and finished set.
- Grammar: of the texts that were rewritten and had a complete linkage in link-grammar's English dictionary before, the
  share that has one after. link-grammar (Sleator and Temperley 1993; Debian: link-grammar and
  link-grammar-dictionaries-en) is a parser: it rejects sentences that it cannot link, and some good ones, hence the
  condition.
- OCR: share of the images with drawn words in which OCR finds every word.

`--out` keeps the finished set; else it is made in a temporary folder. `--examples` prints as many texts that were
grammatical and are not any more.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vsil_audit.builders.convert import ConvertOptions, convert_offline
from vsil_audit.builders.finishing import Built
from vsil_audit.builders.record import Fate, Record
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.sources.base import SourceOptions
from vsil_audit.stats.proportions import wilson

LEAST_FALL, LEAST_GRAMMATICAL, LEAST_READ = 0.90, 0.95, 0.98
PARSER = ["link-parser", "en", "-batch", "-null=0", "-timeout=3", "-verbosity=1", "-echo=1"]


def linked(sentences: Sequence[str]) -> list[bool]:
    """Whether each has a complete linkage. The parser echoes a sentence, and an error after it where there is none."""
    lines = [" ".join(sentence.split()) for sentence in sentences]
    told = subprocess.run(PARSER, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    known, failed, last = set(lines), set(), ""
    for line in (told.stdout + told.stderr).splitlines():
        if line.strip() in known:
            last = line.strip()
        elif line.startswith("+++++ error"):
            failed.add(last)
    if not last:
        raise SystemExit(f"link-parser said nothing that could be understood: {told.stderr[:300]}")
    return [line not in failed for line in lines]


def rewritten(built: Built) -> list[Record]:
    return [r for r in built.folder.records() if r.fate is Fate.BUILT and r.draft.text != r.source_text]


def share(k: int, n: int) -> str:
    if not n:
        return "none"
    rate = wilson(k, n)
    return f"{k:,} of {n:,} = {k / n:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def leaks(built: Built) -> bool:
    shift = next(shift for shift in built.summary.shifts if shift.name == "suspected_rate")
    before, after = shift.before, shift.after
    emitted = built.summary.emitted
    print(f"pairs         {built.summary.pairs:,} in, {emitted:,} in the new set")
    if before is None or before.value is None:
        print("leak rate     not measured before")
        return False
    print(f"leak before   {share(before.k or 0, before.n)}")
    if after is None or after.value is None:
        print("leak after    nothing is in the set")
        return False
    fall = 1 - after.value / before.value if before.value else 0.0
    print(f"leak after    {share(after.k or 0, after.n)}; falls by {fall:.1%}")
    # pairs that leak and are not in the set don't count as mended
    left = sum(r.fate not in (Fate.KEPT, Fate.BUILT) and "empty" not in r.reason for r in built.folder.records())
    print(f"not in it     {share(left, built.summary.pairs)}")
    for reason, count in built.summary.unfixed_reasons.items():
        print(f"              {count:,}: {reason}")
    return not before.value or fall >= LEAST_FALL


def grammar(records: Sequence[Record], examples: int) -> bool:
    if not records:
        print("grammar       nothing was rewritten")
        return True
    before = linked([record.source_text for record in records])
    after = linked([record.draft.text for record in records])
    were = sum(before)
    stayed = sum(a and b for a, b in zip(before, after, strict=True))
    print(f"rewritten     {len(records):,}; link-grammar links {share(were, len(records))} before")
    print(f"grammar       {share(stayed, were)} of those stay grammatical")
    lost = [r for r, a, b in zip(records, before, after, strict=True) if a and not b]
    for record in lost[:examples]:
        print(f"    {record.source_text!r}\n -> {record.draft.text!r}")
    return not were or stayed / were >= LEAST_GRAMMATICAL


def drawn(built: Built) -> bool:
    summary = built.summary
    looked = summary.images_drawn - summary.words_not_looked_for
    read = share(summary.words_read_back, looked)
    print(f"words drawn   {summary.images_drawn:,} images; OCR reads all words in {read}")
    return not looked or summary.words_read_back / looked >= LEAST_READ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--view")
    parser.add_argument("--layout")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--examples", type=int, default=0)
    given = parser.parse_args()
    if shutil.which(PARSER[0]) is None:
        raise SystemExit("link-parser is not installed (Debian: link-grammar, link-grammar-dictionaries-en)")
    with tempfile.TemporaryDirectory() as scratch:
        built = convert_offline(
            given.dataset,
            given.out or Path(scratch) / "new",
            source_options=SourceOptions(view=given.view, layout=given.layout),
            options=ConvertOptions(ScanOptions(limit=given.limit)),
        )
        met = [leaks(built), grammar(rewritten(built), given.examples), drawn(built)]
    print("bars          " + ("met" if all(met) else "MISSED"))
    raise SystemExit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
