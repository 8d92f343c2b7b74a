"""CLIP models of open_clip with small random weights, saved as open_clip saves them: real code, made in a second.

Import open_clip only through here, after `pytest.importorskip("open_clip")`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
TINY_SIGLIP = {
    "embed_dim": 32,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {
        "context_length": 16, "vocab_size": 300, "hf_tokenizer_name": "tiny/siglip",
        "tokenizer_kwargs": {"clean": "canonicalize"}, "width": 32, "heads": 2, "layers": 2,
        "no_causal_mask": True, "proj_bias": True, "pool_type": "last",
    },
}  # fmt: skip
PREPROCESS = {
    "mean": [0.48, 0.46, 0.41],
    "std": [0.27, 0.26, 0.28],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SIGLIP_PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def save_tiny_clip(folder: Path, *, seed: int = 0, config: dict[str, Any] | None = None) -> Path:
    """A ViT that looks at images of 32 × 32 pixels, and CLIP's own tokenizer; 1.7 million parameters."""
    return _save(folder, config or TINY, PREPROCESS, seed)


def save_tiny_siglip(folder: Path, *, seed: int = 0) -> Path:
    """Texts are attended to in both directions and read with a tokenizer of the library transformers, byte by byte."""
    _save(folder, TINY_SIGLIP, SIGLIP_PREPROCESS, seed)
    return save_byte_tokenizer(folder)


def save_byte_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    pieces = ["<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    ).save_pretrained(folder)
    return folder


def _save(folder: Path, config: dict[str, Any], preprocess: dict[str, Any], seed: int) -> Path:
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    fields = json.loads(json.dumps(config))
    custom = fields.pop("custom_text", False)
    module = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**fields)
    for name, weight in module.named_parameters():  # so that images and texts far apart get vectors far apart
        if weight.ndim > 1 and "embedding" not in name:
            weight.data.mul_(2.0)
    save_file(
        {name: tensor.contiguous() for name, tensor in module.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    described = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder
