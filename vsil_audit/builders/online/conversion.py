"""One pair after the other from what it was to a record: its text rewritten, its image kept or made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsil_audit.builders.asked import step
from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.gates.base import Gate, GateResult, Vote
from vsil_audit.builders.gates.coherent import Coherent
from vsil_audit.builders.gates.hygiene import LETTER as HYGIENE
from vsil_audit.builders.gates.hygiene import Hygiene, refused
from vsil_audit.builders.gates.minors import NoMinors
from vsil_audit.builders.gates.overlap import Overlap, overlap_result
from vsil_audit.builders.gates.pair_unsafe import PairUnsafe
from vsil_audit.builders.gates.panel import REJECT
from vsil_audit.builders.gates.passing import passed, through
from vsil_audit.builders.gates.text_safe import TextSafe
from vsil_audit.builders.gates.voting import Show
from vsil_audit.builders.online.content import PROMPT as CONTENT_PROMPT
from vsil_audit.builders.online.content import content_of
from vsil_audit.builders.online.detoxify import detoxify
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.online.picture import Pictures
from vsil_audit.builders.online.session import Session
from vsil_audit.builders.protection import REFUSAL
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.source_pairs import NO_IMAGE, SourcePair, is_forbidden
from vsil_audit.pair import Failed, Finding, Json

NO_GENERATOR = "its image does not carry the harm, and no image generator is named"
NO_IMAGE_KEPT = "it has no image, and images are kept as they are"
NOBODY_LOOKED = "the judges of the scan failed, or no detector could look"
LABELLED_SAFE = "it is labelled safe, so that there is no harm to keep"


@dataclass(frozen=True, slots=True)
class Found:
    """A pair, the draft that it begins as, and what the scan found: whether it leaks (None: nobody could say), with
    the findings of the content detectors."""

    subject: SourcePair
    draft: Draft
    leaks: bool | None
    content: tuple[Finding, ...] = ()


class Conversion:
    """Turns what was found into records. `pictures` None: no image is made."""

    def __init__(
        self, options: OnlineOptions, session: Session, overlap: Overlap, show: Show, pictures: Pictures | None
    ) -> None:
        self._options, self._session, self._show, self._pictures = options, session, show, pictures
        a = TextSafe(options.panel, options.rule, options.scan.seed)
        b, c = PairUnsafe((options.eyes,), show), Coherent((options.eyes,), show)
        self._minors = minors = NoMinors((options.eyes,), show)
        self._of_texts: tuple[Gate, ...] = (Hygiene(), minors, a, overlap, b, c)
        self._of_images: tuple[Gate, ...] = (minors, overlap, b, c)

    async def record(self, found: Found) -> Record:
        """Raises LeftOpenError where something was never really tried."""
        draft, subject = found.draft, found.subject
        if refused(draft) or is_forbidden(subject):
            return _refused(found)
        if not draft.text.strip():
            return _unfixed(found, "the query is empty")
        if subject.trouble:
            return _unfixed(found, subject.trouble)
        if found.leaks is None:
            return Record(draft, Fate.UNDECIDED, reason=NOBODY_LOOKED, source_text=draft.text)
        if not found.leaks and subject.data is None:
            return _unfixed(found, NO_IMAGE)
        if not found.leaks:
            return Record(draft, Fate.KEPT, (overlap_result(found.content),), source_text=draft.text)
        if draft.label == "safe":
            return _unfixed(found, LABELLED_SAFE)
        record = await self._converted(found)
        return replace(record, source_text=subject.pair.text)

    async def _converted(self, found: Found) -> Record:
        first = await through((self._minors,), found.draft, self._session.ask)
        if not passed(first):
            fate = Fate.UNDECIDED if passed(first) is None else Fate.REJECTED
            return Record(found.draft, fate, first, reason=first[-1].reason)
        draft, reason = await self._with_content(found.draft)
        if draft is None:
            return Record(found.draft, Fate.UNDECIDED, reason=reason)
        if reason:
            return Record(draft, Fate.UNFIXED, reason=reason)
        if refused(draft):
            return _refused(replace(found, draft=draft))
        text = await detoxify(draft, self._options.editor, self._of_texts, self._session.ask)
        if text.fate is not Fate.BUILT:
            return Record(
                _as_it_was(text.draft, found.draft), text.fate, (*first, *text.gates), text.attempts, text.reason
            )
        draft, gates = text.draft, (*first, *text.gates)
        if draft.image is None:
            assert self._pictures is not None
            pictured = await self._pictures.picture(draft)
            draft, gates = pictured.draft, (*gates, *pictured.check)
            if pictured.fate is not Fate.BUILT:
                return Record(draft, pictured.fate, gates, text.attempts, pictured.reason)
            final = await through(self._of_images, draft, self._session.ask)
            gates = (*gates, *final)
            if not passed(final):
                fate = Fate.UNDECIDED if passed(final) is None else Fate.REJECTED
                return Record(draft, fate, gates, text.attempts, final[-1].reason)
        draft = replace(draft, label="unsafe", label_assumed=False, safety_reason=_reason(gates))
        return Record(draft, Fate.BUILT, gates, text.attempts)

    async def _with_content(self, draft: Draft) -> tuple[Draft | None, str]:
        """The draft with what its image shows as its description: without image where one is to be made. None, and why,
        where nobody could tell; a reason beside the draft where it cannot be fixed."""
        keep, eyes = self._options.keep_images, self._options.eyes
        if draft.image is None:
            if keep:
                return draft, NO_IMAGE_KEPT
            if self._pictures is None:
                return draft, NO_GENERATOR
        if draft.description and (draft.image is None or keep):
            return draft, ""
        model = eyes if draft.image is not None else self._options.editor
        said = await content_of(draft, model, self._show, self._session.ask)
        if isinstance(said.value, Failed):
            return None, f"nobody could tell what the image shows: {said.value.kind}"
        content = said.value
        told: dict[str, Json] = {"shows": content.shows, "carries": content.carries, "wanted": content.wanted}
        looked = draft.after(step("describe", model, CONTENT_PROMPT, said.call, told))
        if draft.image is not None and (content.carries or keep):  # gate B has the last word on it
            shown = replace(draft.image, shows=content.shows)
            return replace(looked, image=shown, description=draft.description or content.shows), ""
        if self._pictures is None:
            return looked, NO_GENERATOR
        return replace(looked, image=None, description=content.wanted), ""


def _as_it_was(draft: Draft, before: Draft) -> Draft:
    """What was tried, with the image that it had."""
    image: BuiltImage | None = draft.image or before.image
    return replace(draft, image=image)


def _reason(gates: Sequence[GateResult]) -> str:
    """Why the pair is unsafe, in the words of the last judge of gate B."""
    said = [vote.details.get("reasons") for gate in gates if gate.gate == PairUnsafe.letter for vote in gate.votes]
    return next((words for words in reversed(said) if isinstance(words, str)), "")


def _unfixed(found: Found, reason: str) -> Record:
    """A pair that does not leak, but cannot be in the set as it is, is told apart by its reason alone."""
    return Record(found.draft, Fate.UNFIXED, reason=reason, source_text=found.subject.pair.text)


def _refused(found: Found) -> Record:
    result = GateResult(HYGIENE, passed=False, reason=REFUSAL, votes=(Vote("hygiene", REJECT, REFUSAL),))
    return Record(found.draft, Fate.REJECTED, (result,), reason=REFUSAL, source_text=found.subject.pair.text)
