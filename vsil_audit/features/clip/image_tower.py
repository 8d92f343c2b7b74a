"""The image half of a CLIP model, run by torch."""

from __future__ import annotations

from typing import Any

from vsil_audit.features.clip.model import ClipModel


def image_tower(module: Any, model: ClipModel) -> Any:
    """A torch module from pixels (n, height, width, 3), uint8, to vectors (n, width), not of unit length.

    The mean and deviation that the model was trained with are taken off in one multiplication and one addition.
    """
    import torch

    class ImageTower(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
        def __init__(self) -> None:
            super().__init__()
            self.clip = module
            channels = list(zip(model.mean, model.std, strict=True))
            self.register_buffer("scale", torch.tensor([1 / (255 * std) for _, std in channels]).view(1, 3, 1, 1))
            self.register_buffer("shift", torch.tensor([-mean / std for mean, std in channels]).view(1, 3, 1, 1))

        def forward(self, pixels: Any) -> Any:
            numbers = pixels.permute(0, 3, 1, 2).float() * self.scale + self.shift
            return self.clip.encode_image(numbers.contiguous(), normalize=False)

    return ImageTower().to(next(module.parameters()).device).eval()
