"""From a `ClipModel`'s files to open_clip's module in memory. No code but that of open_clip, timm and transformers
is run; pickles are read as tensors only."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip.model import ClipModel
from vsil_audit.torch_fit import REMEDY


def load_module(model: ClipModel) -> Any:
    """open_clip's module with the model's weights, in float32 on the CPU, in evaluation mode.

    Raises ConfigurationError when open_clip cannot be imported, or weights and configuration make no model.
    """
    open_clip = _open_clip()
    try:
        with quietly():
            module = _built(open_clip, model)
            _load_weights(open_clip, module, model.checkpoint)
    except Exception as error:  # damaged files make torch, safetensors and timm raise nearly anything
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigurationError(
            f"the CLIP model {model.name} cannot be loaded from {model.checkpoint}: {reason}",
            "Fetch or copy the file again, and see that it belongs to this model.",
        ) from error
    module.requires_grad_(requires_grad=False)
    return module.eval()


def load_tokenizer(model: ClipModel) -> Any:
    """open_clip's tokenizer of the model. Raises ConfigurationError when its files cannot be read."""
    from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

    text = json.loads(model.config)["text_cfg"]
    context = text.get("context_length", 77)
    options = text.get("tokenizer_kwargs") or {}
    try:
        if model.tokenizer is None:
            return SimpleTokenizer(context_length=context, **options)
        with quietly():
            return HFTokenizer(
                str(model.tokenizer),
                context_length=context,
                tokenizer_mode=text.get("tokenizer_mode"),
                local_files_only=True,
                trust_remote_code=False,
                **options,
            )
    except Exception as error:  # likewise
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ConfigurationError(
            f"the tokenizer of {model.name} cannot be loaded: {reason}", "Fetch or copy its files again."
        ) from error


def _open_clip() -> Any:
    try:
        import open_clip
    except Exception as error:  # torch and torchvision of different builds end in a RuntimeError, for one
        raise ConfigurationError(f"open_clip is installed and cannot be imported: {error}", REMEDY) from error
    return open_clip


def _built(open_clip: Any, model: ClipModel) -> Any:
    """The module before its weights, as `open_clip.create_model` makes it, and without fetching those of its parts."""
    config = json.loads(model.config)
    text, vision = config["text_cfg"], config["vision_cfg"]
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    if model.text_folder is not None:
        text["hf_model_pretrained"] = False
        text["hf_model_name"] = str(model.text_folder)
    own_text = config.pop("custom_text", False) or model.text_folder is not None
    if not own_text:
        return open_clip.CLIP(**config)
    return open_clip.CoCa(**config) if "multimodal_cfg" in config else open_clip.CustomTextCLIP(**config)


def _load_weights(open_clip: Any, module: Any, checkpoint: Path) -> None:
    if checkpoint.suffix in (".npz", ".npy"):
        raise ValueError("weights of big_vision are not read; take them converted to safetensors")
    open_clip.load_checkpoint(module, str(checkpoint), strict=True, weights_only=True)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the remarks of open_clip, transformers and torch: the terminal is the command's."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
