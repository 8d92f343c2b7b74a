"""One turn of a loop around open_clip, in a process of its own; `clip_speed.py` starts it.

    python open_clip_loops.py (preloaded | truncating | loader) SET CLIP --result FILE [--workers N] [--batch N]
        [--device cuda] [--precision bf16]

- preloaded: pixels and tokens lie in memory as tensors of whole batches; texts are padded to the model's full context,
  as `open_clip.get_tokenizer` does. Only the two encoders are in its time: nothing that reads files can beat it,
  unless it encodes less.
- truncating: the same, but the texts are sorted by length and each batch is cut at its longest: no vector
  changes by that.
- loader: what one writes with open_clip: a `Dataset` that opens, preprocesses and tokenises, a `DataLoader` with worker
  processes, `inference_mode`, a batch at a time.

Loading the model and one batch to warm up are in no time; nor, on a GPU, is a first turn over what is preloaded, which
lies on the card: kernels are loaded for each new shape. `bf16` runs the encoders under autocast; without, float32 is
float32 (no TF32). FILE gets the pairs' cosines, in order.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image

Cosines = npt.NDArray[np.float64]


class Pairs(torch.utils.data.Dataset[Any]):
    def __init__(self, folder: Path, preprocess: Callable[[Image.Image], torch.Tensor], tokenize: Any) -> None:
        rows = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        self.images = [folder / row["image"] for row in rows]
        self.texts = [row["question"] for row in rows]
        self.preprocess, self.tokenize = preprocess, tokenize

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        with Image.open(self.images[i]) as image:
            return self.preprocess(image.convert("RGB")), self.tokenize([self.texts[i]])[0]


class Encoders:
    """Both towers on one device, with vectors of unit length. `precision`: fp32 or bf16."""

    def __init__(self, clip: Path, device: str, precision: str = "fp32") -> None:
        name = f"local-dir:{clip}"
        self.model, self.preprocess = open_clip.create_model_from_pretrained(name, device=device)
        self.tokenize = open_clip.get_tokenizer(name)
        self.device = device
        self.precision = precision
        self.model.eval()
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def _autocast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16")

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            return self.model.encode_image(pixels, normalize=True).float()

    def texts(self, tokens: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            return self.model.encode_text(tokens, normalize=True).float()

    def cut_texts(self, tokens: torch.Tensor) -> torch.Tensor:
        """The text tower over as many places as the tokens have: later places cannot change the causal ones before."""
        model, length = self.model, tokens.shape[1]
        with self._autocast():
            hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
            hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
            ends = hidden[torch.arange(len(tokens), device=tokens.device), tokens.argmax(-1)]
            return torch.nn.functional.normalize((ends @ model.text_projection).float(), dim=-1)

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def preloaded(pairs: Pairs, encoders: Encoders, batch: int, workers: int) -> Callable[[], Cosines]:
    pixels, tokens = loaded(pairs, batch, workers, encoders.device)

    def turn() -> Cosines:
        cosines = [(encoders.images(p) * encoders.texts(t)).sum(-1) for p, t in zip(pixels, tokens, strict=True)]
        return torch.cat(cosines).double().cpu().numpy()

    return turn


def truncating(pairs: Pairs, encoders: Encoders, batch: int, workers: int) -> Callable[[], Cosines]:
    pixels, tokens = loaded(pairs, batch, workers, encoders.device)
    every = torch.cat(tokens)
    lengths = (every != 0).sum(-1)
    order = torch.argsort(lengths)
    cut = [every[part][:, : int(lengths[part].max())].contiguous() for part in order.split(batch)]

    def turn() -> Cosines:
        images = torch.cat([encoders.images(p) for p in pixels])
        texts = torch.empty_like(images)
        texts[order] = torch.cat([encoders.cut_texts(t) for t in cut])
        return (images * texts).sum(-1).double().cpu().numpy()

    return turn


def loaded(pairs: Pairs, batch: int, workers: int, device: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    batches = [(p.to(device), t.to(device)) for p, t in torch.utils.data.DataLoader(pairs, batch, num_workers=workers)]
    return [p for p, _ in batches], [t for _, t in batches]


def loader(pairs: Pairs, encoders: Encoders, batch: int, workers: int) -> Callable[[], Cosines]:
    gpu = encoders.device == "cuda"

    def turn() -> Cosines:
        cosines = []
        for pixels, tokens in torch.utils.data.DataLoader(pairs, batch, num_workers=workers, pin_memory=gpu):
            images = encoders.images(pixels.to(encoders.device, non_blocking=True))
            cosines.append((images * encoders.texts(tokens.to(encoders.device, non_blocking=True))).sum(-1))
        return torch.cat(cosines).double().cpu().numpy()

    return turn


def cpu_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=("preloaded", "truncating", "loader"))
    parser.add_argument("set", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    encoders = Encoders(given.clip, given.device, given.precision)
    pairs = Pairs(given.set, encoders.preprocess, encoders.tokenize)
    prepare = {"preloaded": preloaded, "truncating": truncating, "loader": loader}[given.loop]
    with torch.inference_mode():
        turn = prepare(pairs, encoders, given.batch, given.workers)
        size = encoders.model.visual.image_size[0]
        encoders.images(torch.zeros(given.batch, 3, size, size, device=given.device))
        encoders.texts(encoders.tokenize(["a warm-up"] * given.batch).to(given.device))
        if given.device == "cuda" and given.loop != "loader":
            turn()
        encoders.wait()
        cpu, wall = cpu_seconds(), time.perf_counter()
        cosines = turn()
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    np.save(given.result, cosines)
    print(json.dumps({"wall": wall, "cpu": cpu}))


if __name__ == "__main__":
    main()
