"""What happens at every token: which one each row gets, and which rows are over. Each row by itself, so that no answer
depends on its neighbours in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from vsil_audit.gateway.messages import Parameters

_LEAST_LOGPROB = -9999.0  # what OpenAI writes for a probability of 0; JSON has no infinity
_BYTES_IN_A_CHARACTER = 4


class Ending(Protocol):
    """What must be known of a row to end it."""

    @property
    def late(self) -> bool: ...


class TokenChoice:
    """Chooses the next token of each row: the likeliest, or at random by numbers that belong to the row alone.

    A token is drawn by inverting the distribution function, so a row needs one number for each token, whatever the size
    of the vocabulary and whichever batch it is in. A logits processor of transformers in all but its ancestry.
    """

    def __init__(self, sampling: tuple[float, int, float] | None, parameters: Parameters, seeds: Sequence[int]) -> None:
        self._sampling = sampling
        self._draws: Any = None
        if sampling is not None:
            self._draws = np.stack([np.random.default_rng(seed).random(parameters.max_tokens) for seed in seeds])
        self._top = parameters.top_logprobs
        self._recorded: list[tuple[Any, Any, Any]] = []
        self._step = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        if self._step == 0 and bool(torch.isnan(scores).any()):
            raise ArithmeticError("its scores are not numbers, as happens where half precision does not suffice")
        chosen = scores.argmax(-1) if self._sampling is None else self._draw(input_ids, scores)
        if self._top is not None:
            likely = torch.log_softmax(scores.float(), -1)
            values, places = likely.topk(min(self._top, likely.shape[-1]))
            self._recorded.append((likely.gather(1, chosen[:, None])[:, 0].tolist(), values.tolist(), places.tolist()))
        self._step += 1
        if self._sampling is None:
            return scores
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen[:, None], 0.0)

    def _draw(self, input_ids: Any, scores: Any) -> Any:
        import torch
        from transformers import TopKLogitsWarper, TopPLogitsWarper

        assert self._sampling is not None
        temperature, top_k, top_p = self._sampling
        scores = scores.float() / temperature
        if top_k:
            scores = TopKLogitsWarper(top_k)(input_ids, scores)
        if top_p < 1:
            scores = TopPLogitsWarper(top_p)(input_ids, scores)
        below = torch.softmax(scores.double(), -1).cumsum(-1)
        step = min(self._step, self._draws.shape[1] - 1)  # a GPU may run one step more than it is asked for
        drawn = torch.as_tensor(self._draws[:, step : step + 1], device=scores.device) * below[:, -1:]
        return torch.searchsorted(below, drawn, right=True).clamp(max=scores.shape[-1] - 1)[:, 0]

    def logprobs(self, row: int, tokens: Sequence[int], written: Callable[[int], str]) -> list[dict[str, Any]]:
        """Natural log-probabilities before temperature, as OpenAI's API writes them."""
        content = []
        for token, (chosen, values, places) in zip(tokens, self._recorded, strict=False):
            top = [
                {"token": written(place), "logprob": max(value, _LEAST_LOGPROB)}
                for value, place in zip(values[row], places[row], strict=True)
            ]
            entry = {"token": written(token), "logprob": max(chosen[row], _LEAST_LOGPROB), "top_logprobs": top}
            content.append(entry)
        return content


class RowEnds:
    """Ends each row by itself: at its deadline, at a stop string, at the end of its room. `ended`: tokens that a row
    had then; `late`: rows that ran out of time. A stopping criterion of transformers in all but its ancestry."""

    def __init__(
        self, jobs: Sequence[Ending], rooms: Sequence[int], prompt: int, stop: tuple[str, ...], tokenizer: Any
    ) -> None:
        self._jobs, self._rooms, self._prompt, self._tokenizer = jobs, rooms, prompt, tokenizer
        self._stop = tuple(word for word in stop if word)
        self._tail = max((len(word) for word in stop), default=0) * _BYTES_IN_A_CHARACTER + 8
        self.ended: dict[int, int] = {}
        self.late: set[int] = set()

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        import torch

        length = int(input_ids.shape[1]) - self._prompt
        for row, job in enumerate(self._jobs):
            if row in self.ended:
                continue
            if length >= self._rooms[row] or self._stopped(input_ids[row]):
                self.ended[row] = length
            elif job.late:
                self.ended[row] = length
                self.late.add(row)
        over = [row in self.ended for row in range(len(self._jobs))]
        return torch.tensor(over, dtype=torch.bool, device=input_ids.device)

    def first_stop(self, text: str) -> int | None:
        """Where the earliest stop string begins in an answer; None where there is none."""
        return min((place for place in map(text.find, self._stop) if place >= 0), default=None)

    def _stopped(self, tokens: Any) -> bool:
        if not self._stop:
            return False
        tail = self._tokenizer.decode(tokens[self._prompt :][-self._tail :], skip_special_tokens=True)
        return self.first_stop(tail) is not None
