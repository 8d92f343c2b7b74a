"""`run.json`: what a run is of, how it was configured, and how far it got."""

from __future__ import annotations

from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from vsil_audit.runs.asked_summary import SpendRow


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunState(str, Enum):
    READING = "reading"
    DETECTING = "detecting"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"


class RunConfig(Model):
    """Everything that decides what the findings are. Two runs with equal config and fingerprint have equal findings."""

    layout: str
    view: str
    split: str | None = None
    columns: dict[str, str] = {}
    detectors: list[str]
    detector_versions: dict[str, int]
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    allow_remote: bool = False
    max_pixels: int
    batch_size: int
    detector_options: dict[str, str] = {}
    asking: dict[str, Any] = Field({}, description="whom the run asks, and how (AskOptions); empty: no model is asked")
    prompts: dict[str, str] = Field({}, description="name of each prompt and the sha256 of its text")


class Manifest(Model):
    schema_version: int = 1
    tool_version: str
    state: RunState
    dataset_path: str
    dataset_name: str
    fingerprint: str
    stamp: str = ""
    config: RunConfig
    command: str
    packages: dict[str, str] = {}
    started: str = ""
    finished: str | None = None
    seconds: float | None = None
    pairs: int | None = None
    batches: int | None = None
    spend: list[SpendRow] = Field([], description="what each model was asked in all sessions of the run")
