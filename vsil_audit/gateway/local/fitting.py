"""Batches of the size that fits into memory: one that does not is halved, and the size that fits is remembered."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.local.generation import Job, Outcome, too_late
from vsil_audit.gateway.provider import AttemptError, Blame

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


@dataclass(slots=True)
class _Size:
    """How many fit, as far as is known: half of what did not. Twice that is tried again after `patience` full batches,
    since one long text must not slow down a whole run; each time that was too much, `patience` doubles."""

    now: int
    full_batches: int = 0
    patience: int = 4
    grown: bool = False

    def fitted(self, number: int, most: int) -> None:
        self.full_batches += number == self.now
        if self.full_batches >= self.patience and self.now < most:
            self.now, self.full_batches, self.grown = min(2 * self.now, most), 0, True

    def failed(self, number: int) -> None:
        self.patience *= 1 + self.grown
        self.now, self.full_batches, self.grown = number // 2, 0, False


class Fitting:
    """Runs jobs in batches that fit, the size found for each number of images in a request. Used by one thread.

    Whatever else goes wrong with a batch is tried again one by one: a request that the model cannot take costs nobody
    but itself an answer.
    """

    def __init__(self, answer: Callable[[Sequence[Job]], list[Outcome]], most: int) -> None:
        """`answer` runs one batch; `most`: the size to begin with."""
        self._answer = answer
        self._most = most
        self._sizes: dict[int, _Size] = {}

    def size(self, images: int) -> int:
        """Requests in a batch, each of `images` images."""
        return self._sizes[images].now if images in self._sizes else self._most

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome for each; all have as many images. Raises nothing but defects."""
        size = self._sizes.setdefault(len(jobs[0].pixels), _Size(self._most))
        outcomes: list[Outcome] = []
        left = list(jobs)
        alone: set[Job] = set()
        while left:
            part = left[: 1 if left[0] in alone else size.now]
            found = self._try(part)
            if isinstance(found, list):
                size.fitted(len(part), self._most)
            elif len(part) > 1 and is_out_of_memory(found):
                found.__traceback__ = None  # its frames hold the tensors of the failed attempt
                size.failed(len(part))
                free_memory()
                continue
            elif len(part) > 1 and not _is_fatal(found):
                alone.update(part)
                continue
            outcomes += found if isinstance(found, list) else [_failure(found, job) for job in part]
            left = left[len(part) :]
        return outcomes

    def _try(self, jobs: Sequence[Job]) -> list[Outcome] | Exception:
        if len(jobs) == 1 and jobs[0].late:
            return [too_late()]
        for job in jobs:
            job.begun = True
        try:
            return self._answer(jobs)
        except Exception as error:  # noqa: BLE001 - models raise nearly anything; each request is told its reason
            return error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory, of the GPU or of the machine."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _MEMORY_WORDS)


def _is_fatal(error: Exception) -> bool:
    """After such an error the GPU answers nothing any more in this process."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def _failure(error: Exception, job: Job) -> AttemptError:
    if is_out_of_memory(error):
        what = f"this request alone does not fit into memory ({job.length:,} characters, {len(job.pixels)} images)"
        return AttemptError(FailureKind.PERMANENT, what, retry=False)
    said = " ".join(str(error).split())[:300]
    what = f"the model cannot answer: {type(error).__name__}: {said}"
    blame = Blame.FATAL if _is_fatal(error) else Blame.NOTHING
    return AttemptError(FailureKind.PERMANENT, what, retry=False, blame=blame)


def free_memory() -> None:
    """Give back what is not used any more, of the GPU too."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
