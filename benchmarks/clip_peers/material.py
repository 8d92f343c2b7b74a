"""What the sides of `clip_speed.py` are given: sets of JPEG files and texts, and CLIP models with random weights.

Everything follows from seeds, so that two runs of the benchmark compare the same work.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDE = 512
QUALITY = 90
WORDS = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
CATEGORIES = 8


@dataclass(frozen=True)
class MadeSet:
    """A set on disk: `folder/data.json` and `folder/images`. `texts[i]` and `images[i]` are of the i-th pair; `corrupt`
    names the images that cannot be opened."""

    folder: Path
    texts: list[str]
    images: list[Path]
    corrupt: frozenset[str] = frozenset()

    @property
    def unique_images(self) -> int:
        return len(set(self.images))

    @property
    def unique_texts(self) -> int:
        return len(set(self.texts))

    def first(self, n: int) -> MadeSet:
        """The first pairs as a set of their own, beside this one."""
        return write_set(
            self.folder.with_name(f"{self.folder.name}-{n}"), self.texts[:n], self.images[:n], self.corrupt
        )


def unique_set(root: Path, n: int, seed: int = 0) -> MadeSet:
    """`n` pairs that share nothing."""
    rng = random.Random(seed)
    paths = [root / "photos" / f"{seed}-{i:06}.jpg" for i in range(n)]
    with ProcessPoolExecutor() as pool:
        images = list(pool.map(made_photo, paths, range(seed * n, (seed + 1) * n), chunksize=16))
    return write_set(root / "unique", [made_text(rng, i) for i in range(n)], images)


def repeating_set(root: Path, unique: MadeSet, n: int) -> MadeSet:
    """`n` pairs (a multiple of 6) of which no two are equal: each image is in three of them, each text in two."""
    texts, images = unique.texts[: n // 2], unique.images[: n // 3]
    return write_set(
        root / f"repeating-{n}", [texts[i % len(texts)] for i in range(n)], [images[i % len(images)] for i in range(n)]
    )


def corrupt_set(root: Path, unique: MadeSet, share: float) -> MadeSet:
    """The same pairs, where a share of the files is cut off, is no image at all, or has no bytes, in turn."""
    n = len(unique.images)
    bad = set(random.Random(1).sample(range(n), max(1, round(share * n))))
    images, named = list(unique.images), []
    for turn, i in enumerate(sorted(bad)):
        data = unique.images[i].read_bytes()
        path = root / "photos" / f"corrupt-{i:06}.jpg"
        path.write_bytes((data[: len(data) // 3], b"<html>404 Not Found</html>", b"")[turn % 3])
        images[i] = path
        named.append(path.name)
    return write_set(root / "corrupt", unique.texts, images, frozenset(named))


def write_set(folder: Path, texts: list[str], images: list[Path], corrupt: frozenset[str] = frozenset()) -> MadeSet:
    """A plain folder with a table, as anyone would keep a set: the images are hard links, so that sets share them."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    here, rows = [], []
    for i, (text, image) in enumerate(zip(texts, images, strict=True)):
        path = folder / "images" / image.name
        if not path.exists():
            path.hardlink_to(image)
        here.append(path)
        category = f"category {i % CATEGORIES}"
        rows.append({"id": i, "question": text, "image": f"images/{image.name}", "category": category})
    (folder / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    return MadeSet(folder, texts, here, corrupt & {path.name for path in here})


def made_text(rng: random.Random, number: int) -> str:
    """5 to 40 words, small ones often, about 1.2 CLIP tokens a word; the number makes it unlike all others."""
    words = [rng.choice(WORDS[:40] if rng.random() < 0.4 else WORDS) for _ in range(rng.randint(4, 39))]
    words.insert(rng.randint(1, len(words)), str(number))
    return " ".join(words).capitalize() + rng.choice(".?!")


def made_photo(path: Path, seed: int) -> Path:
    """A JPEG of 512 × 512 pixels that costs about what a photograph costs to decode: noise of all scales, a few shapes
    with sharp edges, the grain of a sensor; about 80 KB."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), rng.uniform(70, 180, 3), np.float32)
    for scale in (4, 8, 16, 32, 64, 128, 256):
        coarse = Image.fromarray(rng.integers(0, 256, (scale, scale, 3), dtype=np.uint8))
        wave = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) - 127.5
        picture += wave * (1.6 / math.sqrt(scale))
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw_shapes(image, rng)
    grain = np.asarray(image, np.float32) + rng.normal(0, 4, (SIDE, SIDE, 1)).astype(np.float32)
    target = io.BytesIO()
    Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).save(target, "JPEG", quality=QUALITY)
    path.write_bytes(target.getvalue())
    return path


def draw_shapes(image: Image.Image, rng: np.random.Generator) -> None:
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = (int(v) for v in rng.integers(0, SIDE, 2))
        width, height = (int(v) for v in rng.integers(20, 200, 2))
        box, colour = (x, y, x + width, y + height), tuple(int(v) for v in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=colour)


def save_random_clip(folder: Path, architecture: str, seed: int = 0) -> Path:
    """A model of open_clip's with random weights, as a folder that open_clip and we load alike."""
    weights = folder / "open_clip_model.safetensors"
    if weights.exists():
        return folder
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = open_clip.create_model(architecture)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(100.0))  # where training takes it
    preprocessing: dict[str, Any] = {
        "mean": list(open_clip.OPENAI_DATASET_MEAN),
        "std": list(open_clip.OPENAI_DATASET_STD),
    }
    preprocessing |= {"interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": open_clip.get_model_config(architecture), "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, weights)
    return folder


def save_for_transformers(folder: Path, clip: Path) -> Path:
    """The same weights under the names that transformers' `CLIPModel` reads, with its tokenizer and processor."""
    if (folder / "model.safetensors").exists():
        return folder
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((clip / "open_clip_config.json").read_text())["model_cfg"]
    weights = load_file(clip / "open_clip_model.safetensors")
    renamed = {to: tensor.contiguous() for name in weights for to, tensor in as_transformers(name, weights[name])}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    vision, text, width = config["vision_cfg"], config["text_cfg"], config["embed_dim"]
    activation = {"hidden_act": "quick_gelu" if config.get("quick_gelu") else "gelu", "projection_dim": width}
    described = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": width,
        "text_config": activation | tower(text["width"], text["layers"], text["heads"]) | {"eos_token_id": 49407},
        "vision_config": activation
        | tower(vision["width"], vision["layers"], vision["width"] // vision.get("head_width", 64))
        | {"image_size": vision["image_size"], "patch_size": vision["patch_size"]},
    }
    (folder / "config.json").write_text(json.dumps(described))
    write_tokenizer(folder)
    size = vision["image_size"]
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": size},
        "crop_size": {"height": size, "width": size},
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def tower(width: int, layers: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


WHOLE = {
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "logit_scale": "logit_scale",
}
TURNED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
PARTS = (
    ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
    ("visual.ln_pre.", "vision_model.pre_layrnorm."),
    ("visual.ln_post.", "vision_model.post_layernorm."),
    ("transformer.resblocks.", "text_model.encoder.layers."),
    ("ln_final.", "text_model.final_layer_norm."),
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.", ".self_attn."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
)


def as_transformers(name: str, tensor: Any) -> list[tuple[str, Any]]:
    """One of open_clip's tensors under transformers' names; the fused projection of attention becomes three."""
    if name in WHOLE:
        return [(WHOLE[name], tensor)]
    if name in TURNED:
        return [(TURNED[name], tensor.T)]
    to = name
    for ours, theirs in PARTS:
        if to.startswith(ours) or ours.startswith("."):
            to = to.replace(ours, theirs, 1)
    if ".in_proj_" not in to:
        return [(to, tensor)]
    return [(to.replace("in_proj_", f"{one}_proj."), part) for one, part in zip("qkv", tensor.chunk(3), strict=True)]


def write_tokenizer(folder: Path) -> None:
    """CLIP's own byte pairs, from the copy inside open_clip."""
    import open_clip
    from open_clip.tokenizer import default_bpe

    start, end = "<|startoftext|>", "<|endoftext|>"
    names = {"<start_of_text>": start, "<end_of_text>": end}
    vocabulary = {names.get(piece, piece): number for piece, number in open_clip.SimpleTokenizer().encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n", encoding="utf-8")
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}
    settings = special | {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
