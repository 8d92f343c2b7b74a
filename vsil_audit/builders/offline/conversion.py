"""`vsil-audit convert --offline`: a scanned benchmark, batch by batch, into records of what became of each pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vsil_audit.builders.content_lens import ContentLens, suspected
from vsil_audit.builders.draft import BuiltImage, Draft, Step
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.hygiene import LETTER as HYGIENE
from vsil_audit.builders.gates.overlap import overlap_result
from vsil_audit.builders.gates.panel import REJECT
from vsil_audit.builders.generators.base import GenerationFailure, ImageRequest
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.offline.rewriting import Rewriting, rewrite
from vsil_audit.builders.protection import REFUSAL
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.seeds import seed_of
from vsil_audit.builders.source_pairs import NO_IMAGE, SourcePair, draft_of, is_forbidden, source_pair
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.words import stem, words
from vsil_audit.images import DecodedImage, decode
from vsil_audit.pair import Finding, ImageRef, Json, Pair
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.reading import raw_batches


class OfflineConversion:
    """Converts one batch after the other. `pipeline` must look for text (OCR): what is drawn is read back."""

    def __init__(
        self, plan: ScanPlan, run: RunFolder, out: BuildFolder, pipeline: ImagePipeline, drawer: Typographic
    ) -> None:
        self._plan, self._run, self._out = plan, run, out
        self._pipeline, self._drawer = pipeline, drawer
        self._lens = ContentLens(run)
        self._seed = plan.options.seed

    @property
    def looked_by(self) -> tuple[str, ...]:
        """The detectors that decide what leaks."""
        return self._lens.names

    def run(self, progress: Progress) -> None:
        """Commit a record for every pair; batches that have theirs are not done again."""
        total = sum(map(self._run.n_pairs, range(self._run.n_batches())))
        progress.stage("Rewriting", total, "pairs")
        for raw in raw_batches(self._plan.source, self._plan.options):
            if not self._out.has_records(raw.index):
                facts = self._run.read_batch(raw.index).images
                subjects = [self._subject(pair, f) for pair, f in zip(raw.pairs, facts, strict=True)]
                self._out.write_records(raw.index, list(self._records(subjects)))
            progress.advance(len(raw.pairs))

    def _subject(self, pair: Pair, facts: tuple[ImageFacts, ...]) -> SourcePair:
        return source_pair(pair, facts, self._plan.source.root, self._plan.limits)

    def _records(self, subjects: Sequence[SourcePair]) -> Iterator[Record]:
        before = self._lens.look([s.pair for s in subjects], [s.facts for s in subjects])
        leaking = [p for p, found in enumerate(before) if suspected(found) and not is_forbidden(subjects[p])]
        chosen = [subjects[place] for place in leaking]
        rewritings = rewrite(
            [s.pair for s in chosen], [s.facts for s in chosen], [before[place] for place in leaking], self._lens
        )
        settled = self._settled(chosen, rewritings, [before[place] for place in leaking])
        changed = dict(zip(leaking, settled, strict=True))
        for place, (subject, found) in enumerate(zip(subjects, before, strict=True)):
            if is_forbidden(subject):
                yield _refusal(self._draft(subject), subject.pair.text)
            elif place in changed:
                yield changed[place]
            elif not subject.pair.text.strip():
                yield self._out_of_reach(subject, "the query is empty")
            elif subject.trouble:
                yield self._out_of_reach(subject, subject.trouble)
            elif subject.data is None:
                yield self._out_of_reach(subject, NO_IMAGE)
            else:
                gate = overlap_result(found, before=found)
                fate = Fate.KEPT if gate.passed else Fate.UNDECIDED
                yield Record(self._draft(subject), fate, (gate,), reason=gate.reason, source_text=subject.pair.text)

    def _settled(
        self,
        subjects: Sequence[SourcePair],
        rewritings: Sequence[Rewriting],
        before: Sequence[Sequence[Finding]],
    ) -> list[Record]:
        """Images for those that need one, all drawn before the first is read back."""
        images = [self._image(subject, rewriting) for subject, rewriting in zip(subjects, rewritings, strict=True)]
        facts = [
            self._pipeline.submit(ImageRef("a drawn image", data=made.data)) if isinstance(made, _Drawn) else None
            for made in images
        ]
        found = [future.result() if future is not None else None for future in facts]
        seen = [(f,) if f is not None else subject.facts for f, subject in zip(found, subjects, strict=True)]
        texts = [replace(s.pair, text=r.text) for s, r in zip(subjects, rewritings, strict=True)]
        looks = self._lens.look(texts, seen)
        together = zip(subjects, rewritings, images, found, looks, before, strict=True)
        return [self._record(subject, r, made, f, look, were) for subject, r, made, f, look, were in together]

    def _image(self, subject: SourcePair, rewriting: Rewriting) -> _Drawn | str | None:
        """What was drawn; None where the image stays as it is; or, in words, why there is no image."""
        if rewriting.reason:
            return None
        if subject.trouble:
            return subject.trouble
        if subject.data is not None and not rewriting.moves:
            return None
        phrase = rewriting.moves or ", ".join(one.removed for one in rewriting.replacements)
        if subject.data is None:
            phrase = _on_a_card(phrase, subject.pair.key_phrase or "")
        seed = seed_of(self._seed, subject.pair.id)
        if subject.data is None:
            made = self._drawer.card(ImageRequest(phrase, seed))
        else:
            picture = decode(subject.data, subject.facts[0].name, self._plan.limits)
            if not isinstance(picture, DecodedImage):
                return f"its image cannot be opened: {picture.detail}"
            made = self._drawer.below(picture, phrase)
        if isinstance(made, GenerationFailure):
            return f"the words cannot be drawn: {made.detail}"
        return _Drawn(made.data, made.format, phrase, None if subject.data is not None else seed)

    def _record(
        self,
        subject: SourcePair,
        rewriting: Rewriting,
        made: _Drawn | str | None,
        facts: ImageFacts | None,
        look: Sequence[Finding],
        before: Sequence[Finding],
    ) -> Record:
        pair = subject.pair
        if rewriting.reason:
            return self._out_of_reach(subject, rewriting.reason)
        if isinstance(made, str):
            return self._out_of_reach(subject, made)
        draft = self._draft(subject).after(_rewritten(rewriting), text=rewriting.text)
        if isinstance(made, _Drawn) and facts is not None:
            draft = self._with_drawn(draft, subject, made, facts)
        elif not draft.description:  # so that whoever scans the new set knows what its texts must not say
            removed = ", ".join(dict.fromkeys(one.removed for one in rewriting.replacements))
            draft = replace(draft, description=f"the words “{removed}”")
        gate = overlap_result(look, before=before)
        fate = {True: Fate.BUILT, False: Fate.REJECTED, None: Fate.UNDECIDED}[gate.passed]
        return Record(draft, fate, (gate,), reason=gate.reason, source_text=pair.text)

    def _with_drawn(self, draft: Draft, subject: SourcePair, made: _Drawn, facts: ImageFacts) -> Draft:
        shows = f"the words “{made.phrase}”"
        under = subject.data is not None and draft.description  # what describes an absent image describes no card
        description = f"{draft.description.rstrip('.')}; below it {shows}" if under else shows
        digest = self._out.keep_image(made.data, made.format)
        image = BuiltImage(digest, made.format, self._drawer.identity, made.phrase, made.seed, description)
        step = Step(
            "draw_words",
            self._drawer.identity,
            details={
                "words": made.phrase,
                "under_the_image": subject.data is not None,
                "read_back": _reads(facts, made.phrase),
            },
        )
        return draft.after(step, image=image, description=description)

    def _draft(self, subject: SourcePair) -> Draft:
        return draft_of(subject, self._out)

    def _out_of_reach(self, subject: SourcePair, reason: str) -> Record:
        return Record(self._draft(subject), Fate.UNFIXED, reason=reason, source_text=subject.pair.text)


@dataclass(frozen=True, slots=True)
class _Drawn:
    data: bytes
    format: str
    phrase: str
    seed: int | None


def _on_a_card(moved: str, key_phrase: str) -> str:
    """All that the pair is about, where that is more than what its text said of it."""
    told, about = ({stem(word.folded) for word in words(text)} for text in (moved, key_phrase))
    if about <= told:
        return moved
    return key_phrase if told <= about else f"{key_phrase}, {moved}"


def _refusal(draft: Draft, text: str) -> Record:
    result = GateResult(HYGIENE, passed=False, reason=REFUSAL, votes=(Vote("hygiene", REJECT, REFUSAL),))
    return Record(draft, Fate.REJECTED, (result,), reason=REFUSAL, source_text=text)


def _rewritten(rewriting: Rewriting) -> Step:
    told: list[Json] = [
        {"removed": r.removed, "reference": r.reference, "slot": r.slot.value} for r in rewriting.replacements
    ]
    return Step("replace_phrases", "deictic rules", rewriting.rounds, details={"replacements": told})


def _reads(facts: ImageFacts, phrase: str) -> bool | None:
    """Whether OCR finds every word of the phrase; None where it could not look."""
    if facts.ocr is None:
        return None
    seen = {stem(word.folded) for line in facts.ocr for word in words(line.text)}
    together = "".join(word.folded for line in facts.ocr for word in words(line.text))
    return all(stem(word.folded) in seen or word.folded in together for word in words(phrase))
