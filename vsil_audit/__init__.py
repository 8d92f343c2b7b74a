"""vsil-audit: how much of a multimodal safety benchmark can be solved without looking at the image."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsil_audit.audit import (
        Audit,
        calibrate,
        compare,
        draw_to_label,
        evaluate,
        leaderboard,
        load,
        plan,
        plan_evaluating,
        plan_views,
        scan,
        scan_views,
    )
    from vsil_audit.builders.convert import ConvertOptions, convert_offline
    from vsil_audit.builders.online.build import build
    from vsil_audit.builders.online.convert import convert
    from vsil_audit.builders.online.options import OnlineOptions
    from vsil_audit.detectors.chat import AskOptions
    from vsil_audit.gateway.settings import GatewaySettings
    from vsil_audit.inspection import inspect
    from vsil_audit.runs.plan import ScanOptions
    from vsil_audit.sources.base import ColumnMapping, SourceOptions

_HOMES = {
    "AskOptions": "vsil_audit.detectors.chat",
    "Audit": "vsil_audit.audit",
    "ColumnMapping": "vsil_audit.sources.base",
    "ConvertOptions": "vsil_audit.builders.convert",
    "GatewaySettings": "vsil_audit.gateway.settings",
    "OnlineOptions": "vsil_audit.builders.online.options",
    "ScanOptions": "vsil_audit.runs.plan",
    "SourceOptions": "vsil_audit.sources.base",
    "build": "vsil_audit.builders.online.build",
    "calibrate": "vsil_audit.audit",
    "compare": "vsil_audit.audit",
    "convert": "vsil_audit.builders.online.convert",
    "convert_offline": "vsil_audit.builders.convert",
    "draw_to_label": "vsil_audit.audit",
    "evaluate": "vsil_audit.audit",
    "inspect": "vsil_audit.inspection",
    "leaderboard": "vsil_audit.audit",
    "load": "vsil_audit.audit",
    "plan": "vsil_audit.audit",
    "plan_evaluating": "vsil_audit.audit",
    "plan_views": "vsil_audit.audit",
    "scan": "vsil_audit.audit",
    "scan_views": "vsil_audit.audit",
}

__all__ = [
    "AskOptions",
    "Audit",
    "ColumnMapping",
    "ConvertOptions",
    "GatewaySettings",
    "OnlineOptions",
    "ScanOptions",
    "SourceOptions",
    "build",
    "calibrate",
    "compare",
    "convert",
    "convert_offline",
    "draw_to_label",
    "evaluate",
    "inspect",
    "leaderboard",
    "load",
    "plan",
    "plan_evaluating",
    "plan_views",
    "scan",
    "scan_views",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line answers at once."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
