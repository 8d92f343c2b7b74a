"""The architectures and checkpoints that the installed open_clip knows, read from its files: importing it takes
seconds, and a scan whose vectors are all kept needs none of it."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any


@lru_cache
def package_folder() -> Path | None:
    """Where open_clip is installed; None where it is not."""
    spec = find_spec("open_clip")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def open_clip_version() -> str:
    """Raises PackageNotFoundError only where `package_folder` is None."""
    try:
        return version("open_clip_torch")
    except PackageNotFoundError:  # on the path without having been installed
        return "unknown"


def architectures() -> list[str]:
    """Names of the models that open_clip can build."""
    folder = package_folder()
    return [] if folder is None else sorted(path.stem for path in (folder / "model_configs").glob("*.json"))


def architecture(name: str) -> dict[str, Any] | None:
    """open_clip's `model_cfg` of that name."""
    if name not in architectures():
        return None
    config = json.loads((_installed() / "model_configs" / f"{name}.json").read_bytes())
    return config if isinstance(config, dict) else None


def checkpoints(name: str) -> Mapping[str, Mapping[str, Any]]:
    """The checkpoints of an architecture: tag to where its weights are published and how its images are prepared."""
    return _all_checkpoints().get(name, {})


def _installed() -> Path:
    folder = package_folder()
    if folder is None:
        raise ModuleNotFoundError("open_clip")
    return folder


@lru_cache
def _all_checkpoints() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    try:
        return MappingProxyType(_read_table(_installed()))
    except Exception:  # noqa: BLE001 - another layout of open_clip's file: then it must be imported
        from open_clip import pretrained

        return MappingProxyType(pretrained._PRETRAINED)


def _read_table(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Run what makes the table in open_clip's `pretrained.py`, without the imports above it, torch among them."""
    names: dict[str, Any] = {"copy": copy}
    exec(compile((folder / "constants.py").read_bytes(), "constants.py", "exec"), names)  # noqa: S102 - the installed open_clip's own code, which importing it would run too
    tree = ast.parse((folder / "pretrained.py").read_bytes())
    tree.body = [node for node in tree.body if _makes_the_table(node)]
    exec(compile(tree, "pretrained.py", "exec"), names)  # noqa: S102 - likewise
    table = names["_PRETRAINED"]
    if not isinstance(table, dict) or not table:
        raise ValueError("no table of checkpoints")
    return table


def _makes_the_table(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("_") and node.name.endswith("cfg")
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, (ast.Assign, ast.For))
