"""Options that say which CLIP model a scan uses, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsil_audit.cli.sections import OptionIn

if TYPE_CHECKING:
    from vsil_audit.features.clip.model import ClipSettings

F = TypeVar("F", bound=Callable[..., Any])

SECTION = "CLIP"
option = partial(click.option, cls=OptionIn, section=SECTION)
"""An option under that heading."""

_NAMES = {
    "clip": "model",
    "clip_device": "device",
    "clip_backend": "backend",
    "clip_batch": "batch",
    "clip_int8": "int8",
    "clip_compile": "compile",
    "clip_draft": "draft",
    "clip_decode": "decode",
}


def clip_options(command: F) -> F:
    """Add the options; `clip_settings` takes them out of the command's arguments again."""
    options = [
        option(
            "--clip",
            metavar="MODEL",
            help="MODEL:CHECKPOINT of open_clip, hf-hub:ORG/NAME, or a folder. [default: ViT-B-32:laion2b_s34b_b79k]",
        ),
        option("--clip-device", metavar="NAME", help="cpu, cuda, cuda:1 … [default: a GPU when there is one]"),
        option(
            "--clip-backend",
            type=click.Choice(["auto", "torch", "onnx", "openvino"]),
            help="What runs the model. [default: auto, the fastest exact one]",
        ),
        option("--clip-batch", type=click.IntRange(min=1), metavar="N", help="Images at once. [default: by device]"),
        option("--clip-int8", is_flag=True, help="Images at eight bits: faster, not exact."),
        option("--clip-compile", is_flag=True, help="torch.compile: slower to start, then faster."),
        option("--clip-draft", is_flag=True, help="Decode large JPEGs at a fraction of their size: faster, not exact."),
        option(
            "--clip-decode",
            type=click.Choice(["cpu", "gpu"]),
            help="gpu: decode JPEGs on the GPU, outside the processes that shut images in: faster, not exact. "
            "[default: cpu]",
        ),
    ]
    for add in reversed(options):
        command = add(command)
    return command


def clip_settings(given: dict[str, Any]) -> ClipSettings | None:
    """Take the settings out of the arguments; None when nothing was said of CLIP."""
    chosen = {field: value for name, field in _NAMES.items() if (value := given.pop(name))}
    if not chosen:
        return None
    from vsil_audit.features.clip.model import ClipSettings

    return ClipSettings(**chosen)
