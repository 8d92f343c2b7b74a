"""From what follows `--image-generator` to a generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl

from vsil_audit.builders.generators.base import ImageGenerator
from vsil_audit.builders.generators.diffusers import DEFAULT, Diffusers, Drawing, Offload
from vsil_audit.builders.generators.endpoint import EndpointImages
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway.endpoints import Endpoint, endpoint, provider_names
from vsil_audit.gateway.meter import Meter
from vsil_audit.gateway.retry import RetryPolicy
from vsil_audit.gateway.settings import GatewaySettings

KINDS = ("typographic", "diffusers", "images")
HOW = "typographic, diffusers/ORG/NAME, diffusers/FOLDER, images/openai/MODEL or images/NAME@http://HOST:PORT/v1"
_DRAWING = "Write diffusers/NAME?steps=28&guidance=3.5&offload=auto; offload is auto, none, model or layer."
_OWN_SERVER = "vllm"  # the gateway's word for any server that is named by its address


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """`font`: for words that are drawn. `gateway`: limits, patience, prices and budget of endpoints."""

    font: Path | None = None
    gateway: GatewaySettings = field(default_factory=GatewaySettings)


def open_generator(text: str, options: GeneratorOptions | None = None, meter: Meter | None = None) -> ImageGenerator:
    """What `text` names: `typographic`; `diffusers` (Stable Diffusion 3.5 Large), `diffusers/ORG/NAME` or
    `diffusers/FOLDER`, with `?steps=…&guidance=…&offload=…` where wanted; `images/PROVIDER/MODEL` or `images/NAME@URL`
    for an OpenAI-compatible images endpoint.

    `meter` counts what is paid for; without one, the budget of `options` holds for this generator alone.

    Nothing is sent, fetched or loaded yet. Raises ConfigurationError for a text that names nothing, a missing key, a
    pipeline that is not here, or a budget in dollars where an image's price is not known; MissingDependencyError where
    pipelines cannot run.
    """
    chosen = options or GeneratorOptions()
    kind, mark, rest = text.strip().partition("/")
    if kind.startswith("diffusers?"):  # options of the default pipeline
        kind, rest = "diffusers", f"{kind.removeprefix('diffusers')}{mark}{rest}"
    if kind == "typographic" and not rest:
        return Typographic(chosen.font)
    if kind == "diffusers":
        name, _, query = rest.partition("?")
        return Diffusers(name or DEFAULT, _drawing(query))
    if kind == "images" and rest:
        return _endpoint_images(rest, chosen.gateway, meter)
    close = get_close_matches(kind, KINDS, 1) if kind not in KINDS else []
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ConfigurationError(f"{text!r} is no image generator.{hint}", f"Write {HOW}.")


def _drawing(query: str) -> Drawing:
    try:
        given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        steps, guidance = given.pop("steps", None), given.pop("guidance", None)
        drawing = Drawing(
            None if steps is None else int(steps),
            None if guidance is None else float(guidance),
            Offload(given.pop("offload", Offload.AUTO)),
        )
    except ValueError:
        raise ConfigurationError(f"{query!r} is not how to draw.", _DRAWING) from None
    if given or (drawing.steps is not None and drawing.steps < 1) or not 0 <= (drawing.guidance or 0) < 1e3:
        raise ConfigurationError(f"{query!r} is not how to draw.", _DRAWING)
    return drawing


def _endpoint_images(name: str, settings: GatewaySettings, meter: Meter | None) -> EndpointImages:
    own_retry = settings.retry != RetryPolicy()
    return EndpointImages(
        _endpoint(name, settings.base_url),
        meter=meter or settings.meter(),
        limits=settings.limits,
        retry=settings.retry if own_retry else None,
        patience=settings.patience,
    )


def _endpoint(name: str, base_url: str | None) -> Endpoint:
    first, _, _ = name.partition("/")
    bare = name.removeprefix(f"{_OWN_SERVER}/")
    if "@http://" in bare or "@https://" in bare:
        return endpoint(f"{_OWN_SERVER}/{bare}")
    if first in provider_names() and first != _OWN_SERVER:
        return endpoint(name, base_url)
    if base_url is None:
        raise ConfigurationError(
            f"images/{name} does not say where the server is.",
            f"Write images/{bare}@http://HOST:PORT/v1, or images/openai/MODEL.",
        )
    return endpoint(f"{_OWN_SERVER}/{bare}", base_url)
