"""Have images opened by worker processes, and understand what they answer."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.examine import Work, unpack_pixels, unpack_text
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.features.worker_pool import WorkerDiedError, WorkerPool, WorkerStartError
from vsil_audit.images import ImageLimits

_SECONDS_AN_IMAGE = 300.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What a worker made of an image. `pixels`: for CLIP, where they were asked for and can be made. `plain`: they were
    left to `clip.gpu_decoding`."""

    facts: ImageFacts
    pixels: npt.NDArray[np.uint8] | None = None
    plain: bool = False


class ImageOpener:
    """Opens images in at most `workers` processes. Safe to use from many threads."""

    def __init__(self, workers: int, worker_module: str, limits: ImageLimits) -> None:
        self._pool = WorkerPool(workers, worker_module)
        self._limits = limits
        self._closed = False

    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now."""
        return self._pool.pids()

    def close(self) -> None:
        """End the workers; what they were opening is `unreadable`."""
        self._closed = True
        self._pool.close()

    def open(self, data: bytes, wanted: Work, preprocessing: Preprocessing | None) -> Opened:
        """Have a worker open it. One death may be chance (memory was short), so it is tried again; if reading text was
        what killed it, the picture may still be opened without."""
        attempts = [wanted, wanted, Work.PIXELS] if wanted is Work.TEXT else [wanted, wanted]
        why = ""
        while attempts and not self._closed:
            work = attempts.pop(0)
            try:
                answer, body = self._pool.ask(_question(work, self._limits, preprocessing), data, _SECONDS_AN_IMAGE)
            except WorkerStartError as error:
                return Opened(ImageFacts("", error=ImageError("unreadable", str(error))))
            except WorkerDiedError as error:
                why = str(error)
                if error.timed_out:  # it would take as long again
                    attempts = [other for other in attempts if other is not work]
                continue
            opened = _unpack_answer(answer, body)
            if work is not wanted and not opened.facts.error:
                facts = replace(opened.facts, ocr_error=f"reading text failed: {why}")
                opened = replace(opened, facts=facts)
            return opened
        return Opened(ImageFacts("", error=ImageError("unreadable", why)))


@lru_cache(maxsize=64)
def _question(work: Work, limits: ImageLimits, preprocessing: Preprocessing | None) -> bytes:
    clip = None if preprocessing is None else preprocessing.to_json()
    return json.dumps({"work": work.value, "limits": asdict(limits), "clip": clip}).encode()


def _unpack_answer(head: bytes, body: bytes) -> Opened:
    answer = json.loads(head)
    length, shape = answer["text"], answer["clip"]
    text = None if length is None else unpack_text(body[:length])
    begin, clip = length or 0, None
    if shape is not None:
        height, width = shape
        clip = np.frombuffer(body, np.uint8, height * width * 3, begin).reshape(height, width, 3)
        begin += clip.size
    facts = unpack_pixels(body[begin:])
    if text is not None or answer["ocr_error"] is not None or answer["clip_error"] is not None:
        facts = replace(facts, ocr=text, ocr_error=answer["ocr_error"], clip_error=answer["clip_error"])
    return Opened(facts, clip, plain=answer["plain"])
