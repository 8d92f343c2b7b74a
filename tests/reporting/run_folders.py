"""Made-up run folders for the reports' tests, written through the same API as real ones.

The texts are mild stand-ins: "paint", "fence" and the like take the place of harm.
"""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

from PIL import Image, ImageDraw

from vsil_audit.detectors.base import Batch
from vsil_audit.features.facts import ImageError, ImageFacts, OcrLine
from vsil_audit.pair import (
    Abstained,
    Evidence,
    Failed,
    Finding,
    ImageRef,
    Origin,
    Pair,
    Problem,
    Scored,
    Verdict,
)
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest, RunConfig, RunState
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import CategoryRow, DatasetSummary, DetectorRun, IssueRow, LensSummary, NgramRow, Summary

BATCH = 256
CATEGORIES = ("graffiti", "trespass", "littering", "queue jumping", "loud music")
THINGS = ("red paint", "a wooden fence", "an empty bottle", "a ticket queue", "a loudspeaker", "a park bench")

HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=2>",
    "{{7*7}}{% raw %}",
    "safe\u202egnp.exe",
    "nul\x00and\x1b[31mansi\x1b[0m\x07",
    "[bold red]markup[/bold red]",
    "=HYPERLINK(1)",
    "\u2028line\u2029end",
    "<!--<script>",
)
"""Strings that must stay inert wherever they stand."""


def thumbnail(seed: int, size: int = 160) -> bytes:
    """A small JPEG that differs with `seed`."""
    rng = random.Random(seed)
    image = Image.new("RGB", (size, size * 3 // 4), tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.randrange(size), rng.randrange(size)
        colour = tuple(rng.randrange(256) for _ in range(3))
        draw.ellipse((x, y, x + rng.randrange(8, 60), y + rng.randrange(8, 60)), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def write_run(
    folder: Path,
    pairs: int = 12,
    *,
    name: str = "mild-set",
    view: str = "question",
    leaking: float = 0.4,
    hostile: bool = False,
    thumbnails: bool = True,
    version: int = 1,
    limit: int | None = None,
) -> RunFolder:
    """A complete run over `pairs` made-up pairs; a share `leaking` of the texts names what the image shows.

    With `hostile`, every string that a dataset controls is one of HOSTILE.
    """
    run = RunFolder(folder)
    made = [_pair(i, leaking, view, hostile=hostile) for i in range(pairs)]
    jpegs = {i: thumbnail(i) for i in range(min(pairs, 40))} if thumbnails else {}
    facts = [_facts(pair, i, jpegs) for i, pair in enumerate(made)]
    findings = {
        "ocr_overlap": [_ocr(p, f) for p, f in zip(made, facts, strict=True)],
        "description_overlap": [_description(p) for p in made],
        "harm_prior": [_prior(p, i) for i, p in enumerate(made)],
        "hygiene": [x for i, p in enumerate(made) for x in _hygiene(p, i, facts[i])],
    }
    for index, start in enumerate(range(0, pairs, BATCH)):
        part = slice(start, start + BATCH)
        ids = {p.id for p in made[part]}
        kept = [(f.digest, jpegs[i]) for i, f in enumerate(facts[part], start) if f.digest and i in jpegs]
        problems = _problems(hostile=hostile) if index == 0 else []
        run.write_batch(Batch(index, tuple(made[part]), tuple((f,) for f in facts[part])), problems, kept)
        for detector, found in findings.items():
            run.write_findings(detector, index, [f for f in found if f.pair_id in ids])
    run.write_findings("topic_probe", None, [Finding("topic_probe", None, Scored(0.8), kind="text_bits")])
    late = Finding("hygiene", made[0].id, Scored(1.0), Verdict.ISSUE, "duplicate_text") if made else None
    run.write_findings("hygiene", None, [late] if late else [])
    run.write_summary(_summary(name, view, made, findings, hostile=hostile, version=version))
    run.write_manifest(_manifest(name, view, pairs, version, limit, hostile=hostile))
    return run


def _pair(i: int, leaking: float, view: str, *, hostile: bool) -> Pair:
    if hostile:
        bad = HOSTILE[i % len(HOSTILE)]
        return Pair(
            id=f"{bad}-{i}", text=f"tell {bad} me", images=(ImageRef(f"{bad}.png", path=f"images/{bad}.png"),),
            category=bad, subcategory=bad, description=f"a {bad} thing", label=bad, source=bad,
            origin=Origin(f"{bad}.json", i + 1), meta={bad: bad},
        )  # fmt: skip
    thing = THINGS[i % len(THINGS)]
    leaks = (i * 7919 % 100) < leaking * 100
    text = f"How do I use {thing} for {CATEGORIES[i % 5]}?" if leaks else f"How do I use this, case {i}?"
    return Pair(
        id=f"{CATEGORIES[i % 5].replace(' ', '-')}/{i}", text=text,
        images=(ImageRef(f"images/{i}.png", path=f"images/{i}.png"),), category=CATEGORIES[i % 5],
        description=f"A photo of {thing} on a sunny day." if i % 4 else None, label="unsafe",
        origin=Origin("data.json", i + 1),
    )  # fmt: skip


def _facts(pair: Pair, i: int, jpegs: dict[int, bytes]) -> ImageFacts:
    name = pair.images[0].name
    if i % 11 == 10:
        return ImageFacts(name, error=ImageError("missing", f"{name} is not there"))
    digest = hashlib.sha256(jpegs.get(i, str(i).encode())).hexdigest()
    words = f"{pair.text[5:]}" if "tell" in pair.text else THINGS[i % len(THINGS)].upper()
    lines = (OcrLine(words, 0.98, (0.1, 0.1, 0.9, 0.2)),) if i % 3 else ()
    return ImageFacts(name, digest, 640, 480, "PNG", (), i, lines)


def _evidence(pair: Pair, matched: str, where: str) -> tuple[Evidence, ...]:
    start = pair.text.casefold().find(matched.casefold())
    return (Evidence(start, start + len(matched), matched, where),) if start >= 0 else ()


def _ocr(pair: Pair, facts: ImageFacts) -> Finding:
    if facts.error:
        return Finding("ocr_overlap", pair.id, Failed(f"{facts.error.kind}_image", facts.error.detail))
    if not facts.ocr:
        return Finding("ocr_overlap", pair.id, Abstained("no text in the image"))
    found = _evidence(pair, facts.ocr[0].text, "ocr")
    if not found:
        return Finding("ocr_overlap", pair.id, Scored(0.05), Verdict.CLEAR, "no_overlap")
    detail = {"read": facts.ocr[0].text, "lines": 1}
    return Finding("ocr_overlap", pair.id, Scored(0.97), Verdict.SUSPECTED, "query_repeats_image", found, detail)


def _description(pair: Pair) -> Finding:
    if pair.description is None:
        return Finding("description_overlap", pair.id, Abstained("no description"))
    thing = pair.description.removeprefix("A photo of ").removesuffix(" on a sunny day.")
    found = _evidence(pair, thing, "description")
    verdict = Verdict.SUSPECTED if found else Verdict.CLEAR
    kind = "names_described_content" if found else "no_overlap"
    return Finding("description_overlap", pair.id, Scored(0.81 if found else 0.12), verdict, kind, found)


def _prior(pair: Pair, i: int) -> Finding:
    value = (i * 37 % 100) / 100
    if 0.4 < value < 0.6:
        return Finding("harm_prior", pair.id, Abstained("unsure"))
    return Finding("harm_prior", pair.id, Scored(value), Verdict.PREDICTED if value > 0.6 else Verdict.CLEAR)


def _hygiene(pair: Pair, i: int, facts: ImageFacts) -> list[Finding]:
    if facts.error:
        return [Finding("hygiene", pair.id, Scored(1.0), Verdict.ISSUE, "missing_image", (), {"image": facts.name})]
    if i % 9 == 4:
        return [
            Finding("hygiene", pair.id, Scored(1.0), Verdict.ISSUE, "stray_markup"),
            Finding("hygiene", pair.id, Scored(1.0), Verdict.ISSUE, "duplicate_image"),
        ]
    return []


def _problems(*, hostile: bool) -> list[Problem]:
    bad = HOSTILE[0] if hostile else "row 5"
    return [Problem("unreadable_row", f"{bad} is not an object", Origin(f"{bad}.json", 5), bad, "Mend the row.")]


def _rate(name: str, tells: str, detector: str | None, lens: str, nature: Nature, found: list[Finding]) -> Metric:
    scored = [f for f in found if isinstance(f.outcome, Scored)]
    k, n = sum(f.verdict.flags for f in scored), len(scored)
    value = k / n if n else None
    low = None if value is None else max(0.0, value - 0.1)
    high = None if value is None else min(1.0, value + 0.1)
    return Metric(
        name=name, tells=tells, detector=detector, lens=lens, nature=nature, unit="share", value=value, low=low,
        high=high, interval="cluster bootstrap", k=k, n=n, total=len(found), chance=0.02 if detector else None,
    )  # fmt: skip


def _detector_run(name: str, lens: str, unit: str, found: list[Finding], version: int) -> DetectorRun:
    values = [f.outcome.value for f in found if isinstance(f.outcome, Scored)]
    histogram = [0] * 20
    for value in values:
        histogram[min(int(value * 20), 19)] += 1
    abstained = [f.outcome.reason for f in found if isinstance(f.outcome, Abstained)]
    failed = [f.outcome.kind for f in found if isinstance(f.outcome, Failed)]
    return DetectorRun(
        name=name, asks=f"what does {name} ask?", lens=lens, unit=unit, value="share of the image's words, 0 to 1",
        limits="Overlap is evidence, not proof.", version=version, state="done", scored=len(values),
        abstained=len(abstained), failed=len(failed), flagged=sum(f.verdict.flags for f in found),
        abstain_reasons={r: abstained.count(r) for r in sorted(set(abstained))},
        failure_kinds={r: failed.count(r) for r in sorted(set(failed))}, histogram=histogram if unit == "pair" else [],
    )  # fmt: skip


def _summary(
    name: str, view: str, pairs: list[Pair], findings: dict[str, list[Finding]], *, hostile: bool, version: int
) -> Summary:
    bad = HOSTILE[0] if hostile else ""
    content = [
        _rate("suspected_rate", f"pairs whose text says what the image shows {bad}".strip(), None, "content",
              Nature.MEASURED, findings["ocr_overlap"]),
        _rate("ocr_overlap.rate", "queries that repeat text drawn in the image", "ocr_overlap", "content",
              Nature.MEASURED, findings["ocr_overlap"]),
        _rate("description_overlap.rate", "queries that say what the description names", "description_overlap",
              "content", Nature.MEASURED, findings["description_overlap"]),
    ]  # fmt: skip
    predicted = _rate("harm_prior.rate", "texts predicted to read as harmful", "harm_prior", "predicted",
                      Nature.PREDICTED, findings["harm_prior"])  # fmt: skip
    bits = Metric(
        name="topic_probe.text_bits", tells="bits about the category in the text", detector="topic_probe",
        lens="topic", nature=Nature.MEASURED, unit="bits", value=0.8, low=0.6, high=1.0,
        interval="cluster bootstrap", n=len(pairs), total=len(pairs), chance=0.03,
    )  # fmt: skip
    flagged = [f.pair_id or "" for f in findings["ocr_overlap"] if f.verdict.flags]
    return Summary(
        dataset=DatasetSummary(
            name=f"{bad}{name}", layout="generic_json", view=view, pairs=len(pairs), rows_unreadable=1,
            views=[("question", f"the question as published {bad}".strip(), True), ("plain", "reworded", False)],
            view_counts={"question": len(pairs), "plain": len(pairs)}, mapping={"text": bad or "question"},
            mapping_reasons={"text": 'called "question"'}, texts=len({p.text for p in pairs}), images=len(pairs),
            image_refs=len(pairs), image_errors={"missing": 1}, categories=len({p.category for p in pairs}),
            labels={bad or "unsafe": len(pairs)}, clusters=len(pairs), fingerprint="f" * 64,
        ),
        metrics=[*content, predicted, bits],
        lenses=[
            LensSummary(lens="judged", available=False, says="No safety judge was asked."),
            LensSummary(lens="behavioural", available=False, says="No target model was asked."),
            LensSummary(lens="content", available=True, says="Overlap is evidence, not proof.",
                        metrics=[m.name for m in content]),
            LensSummary(lens="predicted", available=True, says="A guess from the text alone.",
                        metrics=[predicted.name]),
        ],
        detectors=[
            _detector_run("description_overlap", "content", "pair", findings["description_overlap"], version),
            _detector_run("harm_prior", "predicted", "pair", findings["harm_prior"], version),
            _detector_run("hygiene", "hygiene", "issues", findings["hygiene"], version),
            _detector_run("ocr_overlap", "content", "pair", findings["ocr_overlap"], version),
            _detector_run("topic_probe", "topic", "set", [], version),
            DetectorRun(name="clip_overlap", asks="is the text closer to its own image?", lens="content", unit="pair",
                        value="cosine", version=1, state="unavailable", reason="open_clip is not installed",
                        remedy="pip install 'vsil-audit[clip]'"),
        ],
        categories=[_category(c, pairs, findings) for c in sorted({p.category or "" for p in pairs})],
        issues=[
            IssueRow(kind="missing_image", tells="an image that the table names is not there", count=1, pairs=1,
                     remedy="Fetch the image again.", examples=[f"{bad}data.json, row 11"]),
            IssueRow(kind="stray_markup", tells="markup left in a text", count=2, pairs=2,
                     examples=["data.json, row 5"]),
        ],
        ngrams=[NgramRow(category=bad or "graffiti", ngrams=[(bad or "red paint", 1.4), ("this", -0.7)])],
        warnings=[f"Every pair is unsafe: leakage cannot be told from topic without a benign control. {bad}".strip()],
        suspicious=flagged[:50],
    )  # fmt: skip


def _category(category: str, pairs: list[Pair], findings: dict[str, list[Finding]]) -> CategoryRow:
    ids = {p.id for p in pairs if p.category == category}
    found = [f for f in findings["ocr_overlap"] if f.pair_id in ids]
    metric = _rate("suspected_rate", "suspected pairs", None, "content", Nature.MEASURED, found)
    return CategoryRow(category=category, pairs=len(ids), metrics=[metric], p_adjusted=0.2)


def _manifest(name: str, view: str, pairs: int, version: int, limit: int | None, *, hostile: bool) -> Manifest:
    bad = HOSTILE[0] if hostile else ""
    detectors = ["description_overlap", "harm_prior", "hygiene", "ocr_overlap", "topic_probe"]
    return Manifest(
        tool_version="0.1.0", state=RunState.COMPLETE, dataset_path=f"data/{bad}{name}", dataset_name=f"{bad}{name}",
        fingerprint=hashlib.sha256(name.encode()).hexdigest(),
        config=RunConfig(
            layout="generic_json", view=view, detectors=detectors, limit=limit,
            detector_versions=dict.fromkeys(detectors, version), max_pixels=64_000_000, batch_size=BATCH,
        ),
        command=f"vsil-audit scan data/{bad}{name} --view {view}", packages={"pillow": "13.0", "rapidocr": "3.10"},
        started="2025-01-01T00:00:00Z", finished="2025-01-01T00:01:00Z", seconds=60.0, pairs=pairs, batches=1,
    )  # fmt: skip
