"""Models in this process when memory, time or the model itself gives out: each request has an answer or its reason."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tiny_models import SPECIAL, TEMPLATE, save_tiny_llama

from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway import CallFailure, FailureKind, ImagePart, Message, NoProviderError, Parameters, Request
from vsil_audit.gateway.local import LocalProvider, provider
from vsil_audit.gateway.local.fitting import Fitting
from vsil_audit.gateway.local.generation import Job, Outcome
from vsil_audit.gateway.opening import open_gateway
from vsil_audit.gateway.provider import AttemptError, Blame, Reply

AskAtOnce = Callable[..., list[Any]]
SHORT = Parameters(max_tokens=6)


def question(*parts: str | ImagePart, parameters: Parameters = SHORT) -> Request:
    return Request((Message.user(*parts),), parameters)


def said(completion: dict[str, Any]) -> str:
    return str(completion["choices"][0]["message"]["content"])


def with_model(folder: Path, use: Callable[[LocalProvider], Awaitable[None]], batch_size: int = 8) -> None:
    """`use` a model that was loaded before."""

    async def run() -> None:
        loaded = LocalProvider(str(folder), batch_size)
        try:
            await loaded.complete(question("Are you there?"), 60)
            await use(loaded)
        finally:
            await loaded.close()

    asyncio.run(run())


@pytest.fixture
def memory(local_models: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], list[int]]]:
    """`memory(n)`: from now on there is memory for batches of `n`; the sizes of those that were tried."""
    import torch
    from transformers import LlamaForCausalLM, LlavaForConditionalGeneration

    def limit(most: int, images_most: int | None = None) -> list[int]:
        tried: list[int] = []

        def generate(real: Callable[..., Any], model: Any, **inputs: Any) -> Any:
            size = len(inputs["input_ids"])
            tried.append(size)
            if size > (most if images_most is None or "pixel_values" not in inputs else images_most):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return real(model, **inputs)

        for kind in (LlamaForCausalLM, LlavaForConditionalGeneration):
            patched = partial(generate, kind.generate)
            monkeypatch.setattr(kind, "generate", lambda model, patched=patched, **inputs: patched(model, **inputs))
        return tried

    return limit


def test_what_does_not_fit_is_halved_and_the_size_that_fits_kept(
    tiny_llama: Path, ask_at_once: AskAtOnce, memory: Callable[..., list[int]]
) -> None:
    asked = [question("x" * length) for length in range(1, 21)]
    whole = ask_at_once(tiny_llama, asked)
    tried = memory(3)
    halved = ask_at_once(tiny_llama, asked, batch_size=16)
    assert [said(one) for one in halved] == [said(one) for one in whole]
    assert tried[:4] == [16, 8, 4, 2]
    assert sum(size > 3 for size in tried[4:]) <= 1  # more is tried once more, after a while


def test_requests_with_images_have_a_size_of_their_own(
    tiny_llava: Path, ask_at_once: AskAtOnce, memory: Callable[..., list[int]], picture: Callable[[str], ImagePart]
) -> None:
    tried = memory(8, images_most=2)
    seen = [question("x" * length, picture("red")) for length in range(1, 9)]
    ask_at_once(tiny_llava, [*seen, *(question("x" * length) for length in range(1, 9))], batch_size=8)
    assert sorted(tried) == [2, 2, 2, 2, 4, 8, 8]


def test_one_giant_does_not_slow_down_those_after_it(local_models: None) -> None:
    """It fails alone, in as many steps as there are halvings; 400 requests later batches are as large as before."""
    sizes: list[int] = []

    def answer(jobs: Sequence[Job]) -> list[Outcome]:
        sizes.append(len(jobs))
        if any(job.length > 1000 for job in jobs):
            raise MemoryError
        return [Reply(str(job.length)) for job in jobs]

    fitting = Fitting(answer, most=16)
    lengths = [*range(1, 20), 2000, *range(20, 420)]
    outcomes = fitting.run([Job(question("x" * n), (), seed=0, deadline=math.inf) for n in lengths])
    answered = [outcome.body for outcome in outcomes if isinstance(outcome, Reply)]
    assert answered == [str(n) for n in range(1, 420)]
    assert isinstance(outcomes[19], AttemptError)
    assert sizes[:8] == [16, 16, 8, 4, 2, 2, 1, 1]
    assert sizes[-2] == 16


def test_a_request_that_does_not_fit_alone_fails_and_says_so(
    tiny_llama: Path, ask_at_once: AskAtOnce, memory: Callable[..., list[int]]
) -> None:
    memory(0)
    [error] = ask_at_once(tiny_llama, [question("x" * 1000)])
    assert error.kind is FailureKind.PERMANENT
    assert not error.retry
    assert error.blame is Blame.NOTHING
    assert "1,000 characters" in error.detail


def test_one_request_that_the_model_cannot_take_costs_no_other_an_answer(
    tmp_path: Path, local_models: None, ask_at_once: AskAtOnce
) -> None:
    check = "{% if 'thrice' in messages[0]['content'] %}{{ raise_exception('never thrice') }}{% endif %}"
    model = save_tiny_llama(tmp_path / "particular", template=check + TEMPLATE)
    one, bad, other = ask_at_once(model, [question("Once"), question("Ask thrice"), question("Twice")])
    assert said(one)
    assert said(other)
    assert bad.kind is FailureKind.PERMANENT
    assert "never thrice" in bad.detail


@pytest.fixture
def slow_model(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """20 tokens a second, and never done by itself."""
    from transformers import LlamaForCausalLM

    real = LlamaForCausalLM.forward

    def forward(model: Any, **inputs: Any) -> Any:
        time.sleep(0.05)
        output = real(model, **inputs)
        output.logits[..., SPECIAL.index("</s>")] = float("-inf")
        return output

    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)
    return tiny_llama


async def failure(answer: Awaitable[Any]) -> AttemptError:
    with pytest.raises(AttemptError) as raised:
        await answer
    return raised.value


A_WHILE = 20.0  # seconds: more than a busy machine needs to end an answer, less than a story takes


def a_story() -> Request:
    """45 seconds of the slow model, so that a busy machine is not taken for one that waits for its end."""
    return question("Tell me a story.", parameters=Parameters(max_tokens=900))


def test_time_that_is_up_ends_the_answer_and_frees_the_model(slow_model: Path) -> None:
    async def use(model: LocalProvider) -> None:
        begun = time.monotonic()
        error = await failure(model.complete(a_story(), 1.0))
        assert error.kind is FailureKind.TIMEOUT
        assert error.sent
        await model.complete(question("Next", parameters=Parameters(max_tokens=1)), 60)
        assert time.monotonic() - begun < A_WHILE

    with_model(slow_model, use)


def test_a_request_whose_turn_did_not_come_says_slow_down(slow_model: Path) -> None:
    async def use(model: LocalProvider) -> None:
        first = asyncio.create_task(model.complete(a_story(), 60))
        await asyncio.sleep(0.2)
        error = await failure(model.complete(question("Me too"), 0.3))
        assert error.kind is FailureKind.TIMEOUT
        assert error.blame is Blame.SATURATED
        assert error.retry
        assert not error.sent
        first.cancel()

    with_model(slow_model, use, batch_size=1)


def test_an_answer_that_nobody_waits_for_is_not_finished(slow_model: Path) -> None:
    async def use(model: LocalProvider) -> None:
        task = asyncio.create_task(model.complete(a_story(), 60))
        await asyncio.sleep(0.3)
        task.cancel()
        begun = time.monotonic()
        await model.complete(question("Next", parameters=Parameters(max_tokens=1)), 60)
        assert time.monotonic() - begun < A_WHILE

    with_model(slow_model, use)


def test_the_event_loop_goes_on_while_the_model_works(slow_model: Path) -> None:
    async def use(model: LocalProvider) -> None:
        working = asyncio.create_task(model.complete(question("x" * 500, parameters=Parameters(max_tokens=40)), 60))
        begun = last = time.monotonic()
        longest = 0.0
        while not working.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert longest < (time.monotonic() - begun) / 2

    with_model(slow_model, use)


def test_closing_ends_what_runs(slow_model: Path) -> None:
    async def use(model: LocalProvider) -> None:
        running = asyncio.create_task(failure(model.complete(a_story(), 60)))
        await asyncio.sleep(0.3)
        begun = time.monotonic()
        await model.close()
        assert time.monotonic() - begun < A_WHILE
        assert not (await running).retry

    with_model(slow_model, use)


def test_loading_may_take_longer_than_one_attempt(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, loads = provider.load, []

    def load(*arguments: Any) -> Any:
        loads.append(arguments)
        time.sleep(0.5)
        return real(*arguments)

    async def ask() -> None:
        model = LocalProvider(str(tiny_llama))
        error = await failure(model.complete(question("Hello"), 0.1))
        assert (error.kind, error.blame, error.sent) == (FailureKind.TIMEOUT, Blame.NOTHING, False)
        assert "loading" in error.detail
        await model.complete(question("Hello"), 60)
        await model.close()

    monkeypatch.setattr(provider, "load", load)
    asyncio.run(ask())
    assert len(loads) == 1


def _unknown_kind(model: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "something-new"}))


def _own_code(model: Path) -> None:
    _unknown_kind(model)
    config = json.loads((model / "config.json").read_text())
    names = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    (model / "config.json").write_text(json.dumps({**config, "auto_map": names}))
    (model / "code.py").write_text("raise SystemExit('this code was run')")


def _cut_weights(model: Path) -> None:
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def _lost_weights(model: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_unknown_kind, "something-new"),
        (_own_code, "never run"),
        (_cut_weights, "cannot be loaded"),
        (_lost_weights, "1 are missing, such as model.layers.1.mlp.up_proj.weight"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_run_with_its_reason(
    tiny_llama: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    model = shutil.copytree(tiny_llama, tmp_path / "damaged")
    damage(model)

    async def ask() -> None:
        async with open_gateway(f"hf/{model}") as gateway:
            outcomes = await asyncio.gather(*(gateway.ask(question(f"Number {n}")) for n in range(3)))
            assert all(isinstance(outcome, CallFailure) and outcome.resumable for outcome in outcomes)
            with pytest.raises(NoProviderError, match=reason):
                gateway.check()
            assert gateway.spend.calls == 0

    asyncio.run(ask())


@pytest.mark.parametrize("given", ["0", "-1", "many", "1.5"])
def test_a_batch_size_that_is_none_is_refused(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("VSIL_AUDIT_BATCH_SIZE", given)
    with pytest.raises(ConfigurationError, match="VSIL_AUDIT_BATCH_SIZE"):
        LocalProvider(str(tiny_llama))


def test_the_batch_size_can_be_set_from_outside(
    tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, memory: Callable[..., list[int]]
) -> None:
    monkeypatch.setenv("VSIL_AUDIT_BATCH_SIZE", "3")
    tried = memory(100)

    async def ask() -> None:
        model = LocalProvider(str(tiny_llama))
        await asyncio.gather(*(model.complete(question("x" * n), 60) for n in range(1, 8)))
        await model.close()

    asyncio.run(ask())
    assert tried == [3, 3, 1]
