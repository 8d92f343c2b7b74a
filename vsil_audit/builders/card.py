"""The data set's card, README.md: how to load it, how it was made, what it is for, and what it cannot do."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vsil_audit.builders.emission import IMAGES, USE_NOTICE, rows
from vsil_audit.builders.folder import BuildManifest
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.reporting.numbers import number
from vsil_audit.reporting.untrusted import one_line
from vsil_audit.runs.metric import Metric

CARD = "README.md"
UNKNOWN = "unknown"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_WIDTH = 110
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~$!])")


def card(root: Path, manifest: BuildManifest, summary: BuildSummary, licence: str = UNKNOWN) -> str:
    """The card of the set in `root`. Everything that a benchmark's author wrote is escaped."""
    return "\n".join([*_front_matter(manifest, summary, licence), *_body(root, manifest, summary, licence)]) + "\n"


def _front_matter(manifest: BuildManifest, summary: BuildSummary, licence: str) -> Iterator[str]:
    import yaml

    told = {
        "license": licence,
        "pretty_name": _plain(f"{manifest.name}, {_made(manifest)}"),
        "task_categories": ["visual-question-answering"],
        "tags": ["safety", "multimodal", "benchmark", "vsil", "not-for-all-audiences"],
        "size_categories": [next((name for most, name in _SIZES if summary.emitted < most), "n>1M")],
        "configs": [{"config_name": "default", "data_files": [{"split": "test", "path": f"{IMAGES}/**"}]}],
    }
    yield "---"
    yield yaml.safe_dump(told, sort_keys=False, allow_unicode=True).strip()
    yield "---"
    yield ""


def _body(root: Path, manifest: BuildManifest, summary: BuildSummary, licence: str) -> Iterator[str]:
    found = Counter((str(row["label"]), bool(row["image_path"])) for row in rows(root))
    labels = Counter(label for label, _ in found.elements())
    without = sum(count for (_, image), count in found.items() if not image)
    yield f"# {escaped(manifest.name)}, {_made(manifest)}"
    yield ""
    yield f"> {USE_NOTICE}"
    yield ""
    told = ", ".join(f"{count:,} {escaped(label)}" for label, count in sorted(labels.items()))
    yield from _paragraph(
        f"{summary.emitted:,} pairs of a query and an image ({told}). The image is needed: a query is not to say what "
        "is in it. `label` says whether the pair is `unsafe`; pairs with one `twin_of` are forms of the same scenario."
    )
    yield from _loading(without, labels)
    yield from _making(manifest, summary)
    yield from _numbers(summary)
    yield from _limits(manifest, summary, licence)


def _loading(without: int, labels: Counter[str]) -> Iterator[str]:
    yield "## Load it"
    yield ""
    yield "```python"
    yield "from datasets import load_dataset"
    yield ""
    yield 'load_dataset("PATH", split="test")                          # this folder, or its name on the hub'
    yield f'load_dataset("imagefolder", data_dir="PATH/{IMAGES}")'
    yield "```"
    yield ""
    yield from _paragraph(
        "`data.json` is in VLSBench's layout, with steps, gate votes and leak scores of each pair under `vsil_audit`; "
        "`vsil-audit scan PATH` and `vsil-audit evaluate PATH` read it."
    )
    if without:
        yield from _paragraph(f"{without:,} pairs have no image: they stand in `data.json` only.")
    if set(labels) == {"unsafe"}:
        yield from _paragraph("All pairs are unsafe: how often a model refuses what is harmless does not show here.")


def _making(manifest: BuildManifest, summary: BuildSummary) -> Iterator[str]:
    how = "without any model" if manifest.settings.get("offline") else "with models"
    yield "## How it was made"
    yield ""
    yield f"By vsil-audit {escaped(manifest.tool_version)}, `{manifest.command}`, {how}, from {escaped(manifest.name)}"
    yield f"(fingerprint `{manifest.fingerprint[:16]}`). `report.html` shows it before and after."
    yield ""
    yield "| what became of the pairs | pairs |"
    yield "|---|---:|"
    for fate, count in summary.fates.items():
        if count:
            yield f"| {fate} | {count:,} |"
    for reason, count in summary.stopped.items():
        yield f"| of these, stopped by {escaped(reason)} | {count:,} |"
    for reason, count in summary.left_out.items():
        yield f"| left out: {escaped(reason)} | {count:,} |"
    if summary.twins:
        yield f"| benign twins added ({summary.twins_way}) | {summary.twins:,} |"
    yield f"| in this set | {summary.emitted:,} |"
    yield ""
    if summary.gates:
        yield "| gate | asks | saw | passed | rejected | undecided |"
        yield "|---|---|---:|---:|---:|---:|"
        for gate in summary.gates:
            counts = f"{gate.seen:,} | {gate.passed:,} | {gate.rejected:,} | {gate.undecided:,}"
            yield f"| {escaped(gate.gate)} | {escaped(gate.asks)} | {counts} |"
        yield ""


def _numbers(summary: BuildSummary) -> Iterator[str]:
    if summary.shifts:
        yield "| number | before | after |"
        yield "|---|---|---|"
        for shift in summary.shifts:
            before, after = _of(shift.before, shift.before_over), _of(shift.after, shift.after_over)
            yield f"| {escaped(shift.tells)} | {before} | {after} |"
        yield ""
    yield "## Can the text alone tell the label?"
    yield ""
    yield from _paragraph(escaped(summary.proof_note))
    if summary.proof:
        yield "| number | value |"
        yield "|---|---|"
        for metric in summary.proof:
            yield f"| {escaped(metric.tells)} | {_told(metric)} |"
        yield ""


def _limits(manifest: BuildManifest, summary: BuildSummary, licence: str) -> Iterator[str]:
    yield "## Limits"
    yield ""
    if licence == UNKNOWN:
        yield from _point(
            f"The licence of {escaped(manifest.name)} is not known to the tool that made this set: look it up before "
            "you pass the set on. Texts and images keep the licences of their sources."
        )
    if manifest.settings.get("offline"):
        yield from _point(
            "Rewritten by rules, not by a model: pointing words stand for what a query named. No judge has said that "
            "the pairs are still harmful, or that the texts are harmless; what the detectors do not see may leak."
        )
    else:
        yield from _point(
            "Written and judged by models. Their verdicts are not people's: `vsil-audit review PATH` shows the pairs "
            "to people."
        )
    if summary.twins:
        yield from _point(
            "Benign twins are called safe because their images come from a pool that was named as benign, or were made "
            "from harmless words; nobody has looked at each."
        )
    for warning in summary.warnings:
        yield from _point(escaped(warning))
    yield from _point("No answers are part of this set, and none belong into it.")


def _paragraph(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    yield ""


def _point(text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        f"- {text}", _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _made(manifest: BuildManifest) -> str:
    return "converted to need its images" if manifest.command == "convert" else "built to need its images"


def _told(metric: Metric | None) -> str:
    return "not measured" if metric is None else escaped(number(metric).line())


def _of(metric: Metric | None, over: str) -> str:
    """With the pairs that it is of."""
    return f"{over}: {_told(metric)}" if over else _told(metric)


def escaped(text: str) -> str:
    """On one line, and inert in Markdown and in the HTML that it may hold."""
    return _MARKDOWN.sub(r"\\\1", one_line(text)).replace("&", "&amp;")


def _plain(text: str) -> str:
    return one_line(text).encode("utf-8", "replace").decode()
