"""Images by a diffusion pipeline in this process: one at a time, each made from its seed alone."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from inspect import signature
from typing import Any

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.builders.generators.pipeline_folder import PipelineFolder, find_pipeline
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway.local.fitting import free_memory, is_out_of_memory
from vsil_audit.gateway.local.loading import Device, best_device

DEFAULT = "stabilityai/stable-diffusion-3.5-large"
_MOST_SEED = 2**63


class Offload(str, Enum):
    """How much of a pipeline lies in the GPU's memory: all of it, the part that works (MODEL), the layer that works
    (LAYER: slow, and fits nearly anywhere). AUTO: as much as fits. What is drawn does not hang on it."""

    AUTO = "auto"
    NONE = "none"
    MODEL = "model"
    LAYER = "layer"


@dataclass(frozen=True, slots=True)
class Drawing:
    """`steps` and `guidance`: None for the pipeline's own."""

    steps: int | None = None
    guidance: float | None = None
    offload: Offload = Offload.AUTO


class Diffusers:
    """One pipeline. It is loaded when the first image is asked for, and freed by `close`."""

    paid = False

    def __init__(self, name: str = DEFAULT, drawing: Drawing | None = None) -> None:
        """`name`: `ORG/NAME`, `ORG/NAME@REVISION` or the path of a folder. Raises ConfigurationError or
        MissingDependencyError; see `find_pipeline`."""
        self._drawing = drawing or Drawing()
        self._folder = find_pipeline(name)
        self._device = best_device()
        self._arguments = _arguments(self._folder, self._drawing)
        how = ", ".join(f"{name} {value}" for name, value in self._arguments.items())
        self.identity = (
            f"diffusers/{self._folder.label}; {self._folder.version}; {self._folder.pipeline}, "
            f"{self._folder.scheduler}; {how}; {self._device.kind} {self._device.dtype}; "
            f"diffusers {version('diffusers')}, transformers {version('transformers')}, torch {version('torch')}"
        )
        self._executor: ThreadPoolExecutor | None = None
        self._painter: _Painter | None = None
        self._closing = threading.Event()

    def __repr__(self) -> str:
        return f"Diffusers({self.identity})"

    async def generate(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        """`blocked` where the pipeline's own safety checker blackened the image; `out_of_memory` where it fits in no
        way; `permanent` where the pipeline cannot be loaded, or cannot draw that."""
        if not request.prompt.strip():
            return GenerationFailure("empty_prompt", "there is nothing to draw")
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "vsil-audit-diffusion")
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._draw, request)

    async def close(self) -> None:
        """Ends the image that is being made at its next step, and frees the memory."""
        self._closing.set()
        executor, self._executor = self._executor, None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown)
            self._painter = None
            await asyncio.to_thread(free_memory)
        self._closing.clear()

    def _draw(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        """In the worker thread."""
        if self._closing.is_set():
            return _closed()
        try:
            if self._painter is None:
                self._painter = _Painter(self._folder, self._device, self._drawing.offload, self._arguments)
            return self._painter.draw(request, self._closing.is_set)
        except _StoppedError:
            return _closed()
        except Exception as error:  # noqa: BLE001 - models raise nearly anything; the request is told its reason
            error.__traceback__ = None  # its frames hold tensors
            free_memory()
            if is_out_of_memory(error):
                size = f"{request.width} x {request.height}"
                return GenerationFailure("out_of_memory", f"an image of {size} pixels does not fit into memory")
            said = " ".join(str(error).split())[:300] or type(error).__name__
            return GenerationFailure("permanent", f"the pipeline cannot draw it: {said}")


class _StoppedError(Exception):
    """The generator is being closed."""


class _Painter:
    """A loaded pipeline. Used by one thread."""

    def __init__(self, folder: PipelineFolder, device: Device, offload: Offload, arguments: dict[str, Any]) -> None:
        self._folder, self._device, self._arguments = folder, device, arguments
        self._ways = _ways(device, offload)
        self._pipeline: Any = None

    def draw(self, request: ImageRequest, stopped: Callable[[], bool]) -> GeneratedImage | GenerationFailure:
        """Where memory is short, the next way that needs less is taken, for good. Raises what pipelines raise."""
        while True:
            try:
                if self._pipeline is None:
                    self._pipeline = placed(load(self._folder, self._device), self._ways[0], self._device)
                return self._attempt(request, stopped)
            except Exception as error:
                if not is_out_of_memory(error) or len(self._ways) == 1:
                    raise
                error.__traceback__ = None  # its frames hold the tensors of the failed attempt
            del self._ways[0]
            self._pipeline = None
            free_memory()

    def _attempt(self, request: ImageRequest, stopped: Callable[[], bool]) -> GeneratedImage | GenerationFailure:
        import torch

        def at_each_step(_pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if stopped():
                raise _StoppedError
            return tensors

        accepted = signature(self._pipeline.__call__).parameters
        watch = {"callback_on_step_end": at_each_step} if "callback_on_step_end" in accepted else {}
        with quietly():
            made = self._pipeline(
                request.prompt,
                generator=torch.Generator("cpu").manual_seed(request.seed % _MOST_SEED),
                height=request.height,
                width=request.width,
                **self._arguments,
                **watch,
            )
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            return GenerationFailure("blocked", "the pipeline's own safety checker blackened the image")
        image = made.images[0].convert("RGB")
        if image.getbbox() is None:
            return GenerationFailure("permanent", "the image is all black: its numbers overflowed")
        target = io.BytesIO()
        image.save(target, "PNG")
        return GeneratedImage(target.getvalue(), "PNG")


def load(folder: PipelineFolder, device: Device) -> Any:
    """The pipeline in memory: weights from safetensors only, no code but that of diffusers and transformers, nothing
    fetched. Raises nearly anything."""
    import torch
    from diffusers import DiffusionPipeline

    with quietly():
        pipeline = DiffusionPipeline.from_pretrained(
            folder.path,
            dtype=getattr(torch, device.dtype),
            variant=folder.variant,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def placed(pipeline: Any, way: Offload, device: Device) -> Any:
    """The pipeline, where it works."""
    if way is Offload.MODEL:
        pipeline.enable_model_cpu_offload(device=device.kind)
        return pipeline
    if way is Offload.LAYER:
        pipeline.enable_sequential_cpu_offload(device=device.kind)
        return pipeline
    return pipeline.to(device.kind)


def _ways(device: Device, offload: Offload) -> list[Offload]:
    """Those to try, one after the other. On a CPU there is nowhere to offload to."""
    if device.kind == "cpu":
        return [Offload.NONE]
    return [Offload.NONE, Offload.MODEL, Offload.LAYER] if offload is Offload.AUTO else [offload]


def _arguments(folder: PipelineFolder, drawing: Drawing) -> dict[str, Any]:
    """Steps and guidance, the pipeline's own where none were chosen. Raises ConfigurationError for a class that is not
    there, or that draws from anything but a prompt."""
    import diffusers

    kind: Any = getattr(diffusers, folder.pipeline, None)
    known = isinstance(kind, type) and issubclass(kind, diffusers.DiffusionPipeline)
    accepted = signature(kind.__call__).parameters if known else {}
    if not {"prompt", "generator", "height", "width"} <= set(accepted):
        raise ConfigurationError(
            f"diffusers {version('diffusers')} has no {folder.pipeline} that draws from a prompt alone.",
            "Name a text-to-image pipeline, or install a newer diffusers.",
        )
    chosen = {"num_inference_steps": drawing.steps, "guidance_scale": drawing.guidance}
    unknown = [name for name, value in chosen.items() if value is not None and name not in accepted]
    if unknown:
        raise ConfigurationError(f"{folder.pipeline} takes no {unknown[0]}.", "Leave that option out.")
    return {
        name: accepted[name].default if value is None else value for name, value in chosen.items() if name in accepted
    }


@contextmanager
def quietly() -> Iterator[None]:
    """Without the progress bars and remarks of both libraries: the terminal is the command's."""
    from diffusers.utils import logging as ours
    from transformers.utils import logging as theirs

    levels = ours.get_verbosity(), theirs.get_verbosity()
    bars = theirs.is_progress_bar_enabled()
    ours.set_verbosity_error()
    theirs.set_verbosity_error()
    ours.disable_progress_bar()
    theirs.disable_progress_bar()
    try:
        yield
    finally:
        ours.set_verbosity(levels[0])
        theirs.set_verbosity(levels[1])
        ours.enable_progress_bar()
        if bars:
            theirs.enable_progress_bar()


def _closed() -> GenerationFailure:
    return GenerationFailure("cancelled", "the generator was closed", resumable=True)
