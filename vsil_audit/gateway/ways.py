"""Which ways to a model are open here: keys that are set, packages that are installed. Nothing is sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from vsil_audit.gateway.endpoints import key_variables, needs_key, provider_names


@dataclass(frozen=True, slots=True)
class WayToModels:
    """The first part of a model string, whether it can be used here, and what that rests on or takes."""

    name: str
    ready: bool
    says: str
    remedy: str = ""


def ways_to_models(environment: Mapping[str, str] | None = None) -> list[WayToModels]:
    """Every way that model strings know. A key is looked for by the name of its variable; its value is never told."""
    variables = os.environ if environment is None else environment
    return [*(_endpoint(name, variables) for name in provider_names()), _in_this_process()]


def _endpoint(name: str, variables: Mapping[str, str]) -> WayToModels:
    keys = key_variables(name)
    found = next((key for key in keys if variables.get(key, "").strip()), None)
    if found is not None:
        return WayToModels(name, ready=True, says=f"a key stands in {found}")
    if needs_key(name):
        return WayToModels(name, ready=False, says="there is no key", remedy=f"export {keys[0]}=…")
    return WayToModels(name, ready=True, says="needs no key, but a server that runs")


def _in_this_process() -> WayToModels:
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        says = f"models in this process need {' and '.join(missing)}"
        return WayToModels("hf", ready=False, says=says, remedy="pip install 'vsil-audit[local]'")
    return WayToModels("hf", ready=True, says="models in this process: torch and transformers are installed")
