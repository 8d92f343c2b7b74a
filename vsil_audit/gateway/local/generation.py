"""One batch through the model: from jobs to chat completions."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.local.loading import LoadedModel
from vsil_audit.gateway.local.prompts import PromptWriter
from vsil_audit.gateway.local.tokens import RowEnds, TokenChoice
from vsil_audit.gateway.messages import Parameters, Request
from vsil_audit.gateway.provider import AttemptError, Reply

Outcome = Reply | AttemptError


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through the model. `pixels`: its images, in order. `seed`: of its random draws.
    `deadline`: by `time.monotonic`. `as_text`: its texts hold control tokens, which are to be read as text. `wanted`
    says whether anybody still waits; `begun`, whether the model was given it."""

    request: Request
    pixels: tuple[Image.Image, ...]
    seed: int
    deadline: float
    as_text: bool = False
    begun: bool = False
    wanted: Callable[[], bool] = field(default=lambda: True)

    @property
    def length(self) -> int:
        """Characters of its texts."""
        return sum(len(message.text) for message in self.request.messages)

    @property
    def late(self) -> bool:
        return not self.wanted() or time.monotonic() >= self.deadline


class Generator:
    """Runs batches of jobs with equal parameters (seeds apart). Used by one thread at a time."""

    def __init__(self, loaded: LoadedModel, label: str) -> None:
        self._loaded = loaded
        self._label = label
        self._prompts = PromptWriter(loaded)
        self._defaults = loaded.model.generation_config
        ends = self._defaults.eos_token_id
        ends = [loaded.tokenizer.eos_token_id] if ends is None else ends if isinstance(ends, list) else [ends]
        self._ends = frozenset(int(end) for end in ends if end is not None)

    @property
    def sees(self) -> bool:
        """Whether the model takes images."""
        return self._loaded.sees

    def must_be_text(self, request: Request) -> bool:
        """Whether its texts hold control tokens. Raises AttemptError where they could only be obeyed."""
        token = self._prompts.control_token(request)
        if token is not None and not self._prompts.writes_control_tokens_as_text:
            detail = (
                f"the text holds {token!r}, a control token of this model; transformers 5.20 and later can quote it"
            )
            raise AttemptError(FailureKind.PERMANENT, detail, retry=False, sent=False)
        return token is not None

    def answer(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome for each. Raises whatever the model raises, running out of memory included: then none has one."""
        import torch

        inputs = self._prompts.inputs(
            [job.request for job in jobs], [job.pixels for job in jobs], as_text=any(job.as_text for job in jobs)
        )
        lengths = [int(length) for length in inputs["attention_mask"].sum(1)]
        rooms = [self._room(length, job.request.parameters) for length, job in zip(lengths, jobs, strict=True)]
        if min(rooms) < 1:
            return self._without_the_too_long(jobs, lengths, rooms)
        if not self._loaded.sees:
            inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        model = self._loaded.model
        on_device = {
            name: value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
            for name, value in inputs.items()
            if isinstance(value, torch.Tensor)
        }
        prompt = int(on_device["input_ids"].shape[1])
        parameters = jobs[0].request.parameters
        choice = TokenChoice(self._sampling(parameters), parameters, [job.seed for job in jobs])
        rows = RowEnds(jobs, rooms, prompt, parameters.stop, self._loaded.tokenizer)
        with torch.inference_mode():
            output = self._generate(on_device, choice, rows, max(rooms))
        generated = output[:, prompt:].tolist()
        return [self._outcome(row, generated[row], lengths[row], rows, choice, parameters) for row in range(len(jobs))]

    def _room(self, length: int, parameters: Parameters) -> int:
        """Tokens that the answer may have: the context ends somewhere."""
        context = self._loaded.context
        return parameters.max_tokens if context is None else min(parameters.max_tokens, context - length)

    def _without_the_too_long(self, jobs: Sequence[Job], lengths: Sequence[int], rooms: Sequence[int]) -> list[Outcome]:
        fits = [job for job, room in zip(jobs, rooms, strict=True) if room >= 1]
        rest = iter(self.answer(fits) if fits else ())
        return [
            next(rest)
            if room >= 1
            else _permanent(f"a prompt of {length} tokens; the model takes {self._loaded.context}")
            for length, room in zip(lengths, rooms, strict=True)
        ]

    def _sampling(self, parameters: Parameters) -> tuple[float, int, float] | None:
        """Temperature, how many tokens to choose from (0: all) and which share of the probability (1: all); None to
        take the likeliest token. What is not asked for is as the model's makers set it, as in vLLM."""
        own = self._defaults
        temperature = parameters.temperature
        if temperature is None:
            temperature = float(own.temperature or 1.0) if own.do_sample else 0.0
        if temperature == 0:
            return None
        top_p = parameters.top_p if parameters.top_p is not None else own.top_p if own.do_sample else None
        return max(temperature, 1e-5), int((own.top_k or 0) if own.do_sample else 0), float(top_p or 1.0)

    def _generate(self, inputs: dict[str, Any], choice: TokenChoice, rows: RowEnds, most: int) -> Any:
        from transformers import LogitsProcessorList, StoppingCriteriaList

        config = copy.deepcopy(self._defaults)
        config.do_sample, config.num_beams, config.num_return_sequences = False, 1, 1
        config.temperature = config.top_p = config.top_k = config.min_p = config.typical_p = None
        config.max_length, config.max_new_tokens = None, most
        config.return_dict_in_generate = False
        config.eos_token_id = sorted(self._ends) or None
        config.pad_token_id = self._loaded.tokenizer.pad_token_id
        return self._loaded.model.generate(
            **inputs,
            generation_config=config,
            logits_processor=LogitsProcessorList([choice]),
            stopping_criteria=StoppingCriteriaList([rows]),
        )

    def _outcome(
        self, row: int, generated: list[int], length: int, rows: RowEnds, choice: TokenChoice, parameters: Parameters
    ) -> Outcome:
        end = next((place + 1 for place, token in enumerate(generated) if token in self._ends), None)
        cut = rows.ended.get(row, len(generated))
        finished = end is not None and end <= cut
        tokens = generated[: end if finished else cut]
        text = self._text(tokens)
        stop = rows.first_stop(text)
        if not finished and stop is None and row in rows.late:
            return too_late()
        text = text if stop is None else text[:stop]
        said = tokens[:-1] if finished else tokens if stop is None else self._up_to(tokens, text)
        body: dict[str, Any] = {
            "object": "chat.completion",
            "model": self._label,
            "choices": [
                {
                    "index": 0,
                    "message": message(text),
                    "finish_reason": "stop" if finished or stop is not None else "length",
                }
            ],
            "usage": {"prompt_tokens": length, "completion_tokens": len(tokens)},
        }
        if parameters.top_logprobs is not None:
            body["choices"][0]["logprobs"] = {"content": choice.logprobs(row, said, self._token)}
        return Reply(json.dumps(body, allow_nan=False))

    def _text(self, tokens: list[int]) -> str:
        return str(self._loaded.tokenizer.decode(tokens, skip_special_tokens=True))

    def _token(self, token: int) -> str:
        return str(self._loaded.tokenizer.decode([token]))

    def _up_to(self, tokens: list[int], text: str) -> list[int]:
        """The first tokens, as many as it takes to write `text`."""
        kept = len(tokens)
        while kept and len(self._text(tokens[: kept - 1])) >= len(text):
            kept -= 1
        return tokens[:kept]


def message(text: str) -> dict[str, str]:
    """The answer, and thoughts apart from it where the model wrote them down as `<think>…</think>`."""
    thoughts, end, answer = text.partition("</think>")
    if not end and not thoughts.lstrip().startswith("<think>"):
        return {"role": "assistant", "content": text}
    thoughts = thoughts.strip().removeprefix("<think>").strip()
    return {"role": "assistant", "content": answer.lstrip(), "reasoning_content": thoughts}


def too_late() -> AttemptError:
    """Nobody hears of it, as a rule: whoever waited has given up by then."""
    return AttemptError(FailureKind.TIMEOUT, "no complete answer within the time for one attempt", retry=True)


def _permanent(detail: str) -> AttemptError:
    return AttemptError(FailureKind.PERMANENT, detail, retry=False, sent=False)
