"""From a folder to a model in memory. No code but that of transformers is run, no weights but safetensors are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsil_audit.gateway.local.folder import NO_TEMPLATE


@dataclass(frozen=True, slots=True)
class Device:
    """Where a model runs and how precisely it counts: `cuda` and bfloat16 (float16 where the GPU lacks that), or `cpu`
    and float32."""

    kind: str
    dtype: str


class LoadingError(Exception):
    """The model cannot be put to work; the text says why and, where we know, what to do."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """`model`: a transformers model in evaluation mode. `processor`: makes its inputs; the tokenizer itself for a model
    of text alone. `sees`: whether it takes images. `context`: tokens of prompt and answer together, None if unknown."""

    model: Any
    processor: Any
    tokenizer: Any
    sees: bool
    context: int | None


def best_device() -> Device:
    """What this machine has. Imports torch."""
    import torch

    if not torch.cuda.is_available():
        return Device("cpu", "float32")
    return Device("cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16")


def load(folder: Path, device: Device) -> LoadedModel:
    """Raises LoadingError."""
    try:
        with _quietly():
            return _load(folder, device)
    except LoadingError:
        raise
    except Exception as error:  # transformers raises nearly anything for models that it cannot build
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        if "trust_remote_code" in reason or "custom code" in reason:
            reason = "it brings code of its own, which is never run; use a model that transformers itself knows"
        raise LoadingError(f"the model cannot be loaded: {reason}") from error


def _load(folder: Path, device: Device) -> LoadedModel:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(folder, **safe)
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    processor = (AutoProcessor if sees else AutoTokenizer).from_pretrained(folder, **safe)
    tokenizer = processor.tokenizer if sees else processor
    if not (processor.chat_template or tokenizer.chat_template):
        raise LoadingError(NO_TEMPLATE)
    processor.chat_template = processor.chat_template or tokenizer.chat_template
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    placed = {"device_map": "auto"} if device.kind == "cuda" and find_spec("accelerate") is not None else {}
    model, info = (AutoModelForImageTextToText if sees else AutoModelForCausalLM).from_pretrained(
        folder, dtype=getattr(torch, device.dtype), use_safetensors=True, output_loading_info=True, **placed, **safe
    )
    absent = sorted(info["missing_keys"])
    if absent:  # transformers would make them up
        raise LoadingError(f"its weights are not whole: {len(absent)} are missing, such as {absent[0]}")
    if not placed:
        model.to(device.kind)
    model.eval()
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    return LoadedModel(model, processor, tokenizer, sees, context if isinstance(context, int) else None)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the progress bars of transformers: the terminal is the command's."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
