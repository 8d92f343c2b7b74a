"""Which makers of images are ready here, and the one command that enables each of the others. Nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

from vsil_audit.builders.generators.diffusers import DEFAULT
from vsil_audit.builders.generators.pipeline_folder import INSTALL, PACKAGES, find_pipeline
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway.endpoints import key_variables
from vsil_audit.gateway.local.folder import download_command
from vsil_audit.gateway.ways import WayToModels

_DRAWING_PROVIDERS = ("openai", "together", "gemini")
"""Known providers that have an images endpoint of that API."""


def ways_to_images(environment: Mapping[str, str] | None = None) -> list[WayToModels]:
    """Every kind of image generator that `--image-generator` knows."""
    variables = os.environ if environment is None else environment
    drawn = WayToModels("typographic", ready=True, says="draws the words of a prompt; offline, needs nothing")
    own = WayToModels("images/NAME@URL", ready=True, says="needs no key, but a server that runs")
    return [drawn, _pipelines(), *(_endpoint(name, variables) for name in _DRAWING_PROVIDERS), own]


def _pipelines() -> WayToModels:
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        says = f"pipelines in this process need {' and '.join(missing)}"
        return WayToModels("diffusers", ready=False, says=says, remedy=INSTALL)
    try:
        find_pipeline(DEFAULT)
    except ConfigurationError:
        says = f"runs pipelines of this machine; {DEFAULT}, the default, is not here"
        return WayToModels("diffusers", ready=True, says=says, remedy=download_command(DEFAULT, ""))
    return WayToModels("diffusers", ready=True, says=f"{DEFAULT} is on this machine")


def _endpoint(name: str, variables: Mapping[str, str]) -> WayToModels:
    keys = key_variables(name)
    way = f"images/{name}"
    found = next((key for key in keys if variables.get(key, "").strip()), None)
    if found is None:
        return WayToModels(way, ready=False, says="there is no key", remedy=f"export {keys[0]}=…")
    return WayToModels(way, ready=True, says=f"a key stands in {found}")
