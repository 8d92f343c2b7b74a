"""How each provider wants to be asked for an image: the API is one in name, its parameters are not."""

from __future__ import annotations

from typing import Any

from vsil_audit.builders.generators.base import ImageRequest

_MOST_SEED = 2**31
"""Of the seeds that are sent: several servers read them as 32-bit numbers with a sign."""


def parameters(provider: str, model: str, request: ImageRequest) -> dict[str, Any]:
    """The body of `POST …/images/generations`, for one image.

    OpenAI refuses parameters that it does not know, and takes no seed; its models draw 1024 x 1024, the one size that
    they have in common and that the table of prices is about.
    """
    asked: dict[str, Any] = {"model": model, "prompt": request.prompt, "n": 1}
    if provider == "openai":
        asked["size"] = "1024x1024"
        if model.startswith("dall-e"):
            return asked | {"response_format": "b64_json"}
        return asked | {"quality": "medium", "output_format": "png"}
    asked["seed"] = request.seed % _MOST_SEED
    if provider == "together":
        return asked | {"width": request.width, "height": request.height, "response_format": "base64"}
    return asked | {"size": f"{request.width}x{request.height}", "response_format": "b64_json"}


def fixed(provider: str, model: str) -> str:
    """What of it hangs on no request, for the generator's identity."""
    body = parameters(provider, model, ImageRequest("", 0, 0, 0))
    left = {name: value for name, value in sorted(body.items()) if name in ("size", "quality") and value != "0x0"}
    return ", ".join(f"{name} {value}" for name, value in left.items()) or "size and seed as asked"
