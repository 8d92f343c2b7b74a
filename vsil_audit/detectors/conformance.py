"""What every detector must hold to, as checks that ours and third parties' pass.

    import pytest
    from vsil_audit.detectors import conformance

    @pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
    def test_conforms(check):
        check(MyDetector)

Each check raises AssertionError that says what is wrong. The pairs are synthetic and harmless. A detector that needs
CLIP gets vectors made from words: no model has to be installed.
"""

from __future__ import annotations

import hashlib
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from vsil_audit.detectors.base import Batch, Detector, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.detectors.chat import ChatDetector
from vsil_audit.detectors.clip_conformance import NOT_ENCODED, NOT_FINITE, encode_texts, with_vectors
from vsil_audit.features.facts import ImageError, ImageFacts, OcrLine
from vsil_audit.pair import Evidence, Failed, Finding, ImageRef, Origin, Pair, Scored, Verdict
from vsil_audit.runs.arrow import findings_from_table, findings_to_table

Check: TypeAlias = Callable[[type[Detector]], None]
AnyCheck: TypeAlias = "Callable[[type[Detector]], None] | Callable[[type[ChatDetector]], None]"

HEAVY = (
    "torch",
    "open_clip",
    "sklearn",
    "onnxruntime",
    "rapidocr",
    "cv2",
    "transformers",
    "sentence_transformers",
    "pandas",
)
_VERDICTS = {
    Lens.JUDGED: {Verdict.LEAK, Verdict.CLEAR, Verdict.NONE},
    Lens.BEHAVIOURAL: {Verdict.LEAK, Verdict.CLEAR, Verdict.NONE},
    Lens.CONTENT: {Verdict.SUSPECTED, Verdict.CLEAR, Verdict.NONE},
    Lens.PREDICTED: {Verdict.PREDICTED, Verdict.CLEAR, Verdict.NONE},
    Lens.TOPIC: {Verdict.CLEAR, Verdict.NONE},
    Lens.HYGIENE: {Verdict.ISSUE, Verdict.CLEAR, Verdict.NONE},
}
_WHERE = {"ocr", "description", "key_phrase", "text", "image"}
_THINGS = ("kite", "ladder", "kettle", "bicycle", "lantern", "umbrella", "trumpet", "blanket", "compass", "harbour")
_PLACES = ("a garden", "the attic", "a bright kitchen")


def name_of(check: AnyCheck) -> str:
    """A check's name, for test ids."""
    return getattr(check, "__name__", "check")


def describes_itself(detector: type[Detector] | type[ChatDetector]) -> None:
    """Its spec is complete."""
    spec = detector.spec
    assert isinstance(spec, DetectorSpec), "spec must be a DetectorSpec"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.name), f"the name {spec.name!r} is not snake_case"
    assert spec.asks.endswith("?"), "asks must be a question"
    assert spec.value, "value must say what a score means: unit and range"
    assert spec.version >= 1, "version counts from 1"
    assert all(isinstance(need, Need) for need in spec.needs), "needs holds Need members"


def tells_its_readiness(detector: type[Detector] | type[ChatDetector]) -> None:
    """Readiness comes with a reason and a remedy when it is not given."""
    readiness = detector.readiness()
    assert isinstance(readiness, Readiness), "readiness() must return a Readiness"
    assert readiness.ready or (readiness.reason and readiness.remedy), "not ready: reason and remedy must be told"


def loads_lightly(detector: type[Detector] | type[ChatDetector]) -> None:
    """Importing it and asking for its readiness imports no heavy library."""
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"from {detector.__module__} import {detector.__qualname__} as D; D.readiness()\n"
        f"print(*[m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter and code
    assert done.returncode == 0, f"it cannot be imported on its own: {done.stderr.strip()}"
    assert not done.stdout.strip(), f"importing it imports {done.stdout.strip()}"


def gives_what_its_unit_promises(detector: type[Detector]) -> None:
    """PAIR: one finding a pair, in order. SET: none while scoring. After the last pair: set-level findings only,
    but for ISSUES."""
    batches = ordinary_set()
    scored, concluded = run(detector, batches)
    ids = [pair.id for batch in batches for pair in batch.pairs]
    found = [f.pair_id for f in scored]
    if detector.spec.unit is Unit.PAIR:
        assert found == ids, "exactly one finding for each pair, in the order of the pairs"
    elif detector.spec.unit is Unit.SET:
        assert not found, "a detector of unit SET yields nothing from score()"
    else:
        assert set(found) <= {*ids, None}, "findings name pairs of the batch"
    if detector.spec.unit is not Unit.ISSUES:
        assert all(f.pair_id is None for f in concluded), "conclude() yields set-level findings"


def finds_well_formed_things(detector: type[Detector]) -> None:
    """Findings are its own, finite, within the text, allowed by its lens, and the same after storing."""
    for batches in (ordinary_set(), hostile_set()):
        pairs = {pair.id: pair for batch in batches for pair in batch.pairs}
        scored, concluded = run(detector, batches)
        for finding in (*scored, *concluded):
            check_finding(finding, pairs.get(finding.pair_id or ""), detector.spec)
        stored = findings_from_table(findings_to_table([*scored, *concluded]))
        assert _plain(stored) == _plain([*scored, *concluded]), "findings change when they are stored"


def survives_hostile_pairs(detector: type[Detector]) -> None:
    """Empty, huge, control-ridden and many-scripted texts, and broken images, cost no pair and raise nothing."""
    batches = hostile_set()
    scored, _ = run(detector, batches)
    if detector.spec.unit is Unit.PAIR:
        assert len(scored) == sum(len(batch.pairs) for batch in batches), "a hostile pair lost its finding"


def never_scores_what_it_could_not_read(detector: type[Detector]) -> None:
    """A PAIR detector that needs images gives no number for a pair whose only image is broken."""
    needs = detector.spec.needs
    if detector.spec.unit is not Unit.PAIR or not needs & {Need.PIXELS, Need.OCR, Need.CLIP}:
        return
    broken = {"corrupt-image"}
    broken |= {"ocr-failed"} if needs & {Need.PIXELS, Need.OCR} else set()
    broken |= {"vector-not-finite", "not-encoded"} if Need.CLIP in needs else set()
    for finding in run(detector, hostile_set())[0]:
        if finding.pair_id in broken:
            assert not isinstance(finding.outcome, Scored), f"{finding.pair_id}: a failure was scored"


def repeats_itself(detector: type[Detector]) -> None:
    """Two runs over the same pairs give equal findings."""
    batches = ordinary_set()
    assert _plain(_all(run(detector, batches))) == _plain(_all(run(detector, batches))), "two runs differ"


def can_be_resumed(detector: type[Detector]) -> None:
    """What it says of a batch depends on prepare and that batch only, and what it concludes on prepare only: a run
    that was killed scores just the missing batches."""
    batches = _as_read(detector, ordinary_set())
    scored, concluded = run(detector, batches)
    resumed = detector()
    resumed.prepare(_context(detector, batches))
    last = list(resumed.score(batches[-1]))
    tail = scored[len(scored) - len(last) :]
    assert _plain(last) == _plain(tail), "a batch scored alone differs from the batch scored after the others"
    assert _plain(list(resumed.conclude())) == _plain(concluded), "conclude() depends on which batches were scored"


def bears_small_sets(detector: type[Detector]) -> None:
    """No pair at all, one pair, and pairs without category, description and image."""
    one = Pair("only", "Where does this go?")
    for batches in ([], [Batch(0, (), ())], [Batch(0, (one,), ((),))]):
        scored, concluded = run(detector, batches)
        assert all(not isinstance(f.outcome, Scored) or math.isfinite(f.outcome.value) for f in (*scored, *concluded))


CHECKS: tuple[Check, ...] = (
    describes_itself,
    tells_its_readiness,
    loads_lightly,
    gives_what_its_unit_promises,
    finds_well_formed_things,
    survives_hostile_pairs,
    never_scores_what_it_could_not_read,
    repeats_itself,
    can_be_resumed,
    bears_small_sets,
)


def run(detector: type[Detector], batches: Sequence[Batch]) -> tuple[list[Finding], list[Finding]]:
    """Prepare, score every batch, conclude: (findings of score, findings of conclude)."""
    made, batches = detector(), _as_read(detector, batches)
    made.prepare(_context(detector, batches))
    return [f for batch in batches for f in made.score(batch)], list(made.conclude())


def ordinary_set() -> list[Batch]:
    """Thirty pairs in three batches: categories, descriptions, texts in images, one image shared by two pairs."""
    rows = [(thing, place) for place in _PLACES for thing in _THINGS]
    pairs: list[tuple[Pair, tuple[ImageFacts, ...]]] = []
    for number, (thing, place) in enumerate(rows):
        text = f"How do I mend the {thing} in {place}?" if number % 2 else "How do I mend what is shown here?"
        name = f"images/{number - number % 7 // 6}.png"
        pair = Pair(
            id=f"pair-{number}",
            text=text,
            images=(ImageRef(name, path=name),),
            category=("tools", "toys")[number % 2],
            description=f"A {thing} in {place}",
            label="safe",
            origin=Origin("table.csv", number + 1),
        )
        pairs.append((pair, (_image(name, thing),)))
    return _batched(pairs, 10)


def hostile_set() -> list[Batch]:
    """Texts and images that break careless code; every pair's id says what is wrong with it."""
    texts = {
        "empty": "",
        "blank": " \t\n\u2003",
        "control": "Is\x00 this\x1b[31m a \u202ekite\u202c?\x07",
        "huge": "kite and ladder " * 6_250,
        "one-word-huge": "k" * 100_000,
        "markup": "<script>alert(1)</script> [bold]kite[/bold] {{ 7 * 7 }} =1+1",
        "unspaced": "風筝在花园里，请问怎么修理？",
        "right-to-left": "كيف أصلح الطائرة الورقية؟ איך מתקנים עפיפון",
        "indic": "मैं पतंग कैसे ठीक करूँ?",
        "astral": "𝓴𝓲𝓽𝓮 🪁🪁🪁 ﬁx",
        "combining": "k" + "\u0301" * 5_000,
        "punctuation": "?!… --- ///",
        "numbers": "1. 2. 3. 007 ١٢٣",
    }
    pairs: list[tuple[Pair, tuple[ImageFacts, ...]]] = []
    for name, text in texts.items():
        for other in (text, "A kite in a garden"):
            number = f"{name}-{len(pairs)}"
            pair = Pair(number, text, (ImageRef("a.png", path="a.png"),), description=other, category=name)
            pairs.append((pair, (_image("a.png", *other[:2_000].splitlines()),)))
    for name, facts in _broken_images().items():
        refs = tuple(ImageRef(f.name, path=f.name) for f in facts)
        pairs.append((Pair(name, "How do I mend the kite?", refs, description="A kite", key_phrase=""), facts))
    return _batched(pairs, 7)


def _broken_images() -> dict[str, tuple[ImageFacts, ...]]:
    corrupt = ImageFacts("b.png", error=ImageError("corrupt", "broken data stream"))
    missing = ImageFacts("../../c.png", error=ImageError("outside_root", "lies outside the dataset"))
    unread = ImageFacts("d.png", digest="d" * 64, width=8, height=8, format="PNG", ocr_error="the model failed")
    upside_down = OcrLine("kite", 1.0, (1.0, 1.0, 0.0, 0.0))
    return {
        "no-image": (),
        "corrupt-image": (corrupt,),
        "outside-root": (missing,),
        "ocr-failed": (unread,),
        "one-of-two": (_image("e.png", "lantern"), corrupt),
        "no-text-drawn": (_image("f.png"),),
        "vector-not-finite": (_image(NOT_FINITE),),
        "not-encoded": (_image(NOT_ENCODED),),
        "odd-boxes": (ImageFacts("g.png", ocr=(upside_down, OcrLine("", 0.0, (0.0, 0.0, 0.0, 0.0)))),),
    }


def _image(name: str, *lines: str) -> ImageFacts:
    drawn = tuple(OcrLine(text, 0.98, (0.1, 0.1 + i / 100, 0.9, 0.2 + i / 100)) for i, text in enumerate(lines[:50]))
    digest = hashlib.sha256(name.encode()).hexdigest()
    return ImageFacts(name, digest, 64, 64, "PNG", phash=int(digest[:16], 16), ocr=drawn)


def _batched(pairs: Sequence[tuple[Pair, tuple[ImageFacts, ...]]], size: int) -> list[Batch]:
    cut = [pairs[at : at + size] for at in range(0, len(pairs), size)]
    return [Batch(i, tuple(p for p, _ in part), tuple(f for _, f in part)) for i, part in enumerate(cut)]


def _as_read(detector: type[Detector], batches: Sequence[Batch]) -> Sequence[Batch]:
    """With CLIP vectors for a detector that needs them, from words and not from a model."""
    return with_vectors(batches) if Need.CLIP in detector.spec.needs else batches


def _context(detector: type[Detector], batches: Sequence[Batch]) -> SetContext:
    n_pairs = sum(len(batch.pairs) for batch in batches)
    clip_texts = encode_texts if Need.CLIP in detector.spec.needs else None
    return SetContext(lambda: iter(batches), n_pairs, list(range(n_pairs)), clip_texts=clip_texts)


def check_finding(finding: Finding, pair: Pair | None, spec: DetectorSpec) -> None:
    """It is its detector's own, finite, within the text, and says what its lens may say."""
    assert finding.detector == spec.name, f"the finding calls itself {finding.detector!r}"
    outcome = finding.outcome
    if isinstance(outcome, Scored):
        assert math.isfinite(outcome.value), "a score must be finite"
    else:
        assert getattr(outcome, "reason", None) or getattr(outcome, "kind", None), "say why nothing was scored"
        assert not finding.verdict.flags, "a pair that was not scored cannot be flagged"
    if isinstance(outcome, Failed):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", outcome.kind), f"{outcome.kind!r} is not a stable snake_case word"
    assert re.fullmatch(r"[a-z0-9_]*", finding.kind), f"{finding.kind!r} is not a stable snake_case word"
    assert finding.verdict in _VERDICTS[spec.lens], f"{spec.lens.value} may not say {finding.verdict.value}"
    for evidence in finding.evidence:
        _points_into(evidence, pair)


def _points_into(evidence: Evidence, pair: Pair | None) -> None:
    assert evidence.where in _WHERE, f"{evidence.where!r} names no side of a pair"
    if (evidence.start, evidence.end) != (0, 0):
        assert pair is not None, "a passage belongs to a pair"
        assert 0 <= evidence.start < evidence.end <= len(pair.text), "the passage lies outside the text"


def _all(found: tuple[list[Finding], list[Finding]]) -> list[Finding]:
    return [*found[0], *found[1]]


def _plain(findings: Iterable[Finding]) -> list[object]:
    """Findings as the run folder would hold them: what must be equal."""
    return list(findings_to_table(findings).to_pylist())
