"""A fitted linear model as one file: an uncompressed NumPy archive without pickled objects."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = "npt.NDArray[np.float64]"


@dataclass(frozen=True)
class ModelFile:
    """`features` name the rows of `weights` (features x columns); `intercepts` (columns,). `about`: JSON; `arrays`:
    whatever else the model is made of, by name."""

    features: tuple[str, ...]
    weights: Floats
    intercepts: Floats
    about: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def to_bytes(self, format_name: str) -> bytes:
        """Weights are rounded to 16 bits, a scale a column. Equal models give equal bytes."""
        scales = np.maximum(np.abs(self.weights).max(axis=0), 1e-12) / 32767
        about = json.dumps({**self.about, "format": format_name}, sort_keys=True, indent=1)
        arrays: dict[str, Any] = {
            "features": np.frombuffer("\n".join(self.features).encode(), dtype=np.uint8),
            "weights": np.rint(self.weights / scales).astype("<i2"),
            "weight_scales": scales.astype("<f8"),
            "intercepts": self.intercepts.astype("<f8"),
            **self.arrays,
            "about": np.frombuffer(about.encode(), dtype=np.uint8),
        }
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def of(cls, data: bytes, format_name: str, arrays: Iterable[str]) -> ModelFile:
        """Read what `to_bytes` wrote. Raises ValueError when it is another format or weights and intercepts do not fit
        the features, and KeyError, TypeError or BadZipFile when the file is damaged."""
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            about = json.loads(kept["about"].tobytes())
            if about.get("format") != format_name:
                raise ValueError(f"expected the format {format_name!r}, found {about.get('format')!r}")
            features = tuple(kept["features"].tobytes().decode().split("\n"))
            weights = kept["weights"] * kept["weight_scales"]
            intercepts = kept["intercepts"].astype(np.float64)
            others = {name: kept[name] for name in arrays}
        if weights.shape != (len(features), len(intercepts)):
            raise ValueError(f"{len(features)} features x {len(intercepts)} columns, but weights are {weights.shape}")
        return cls(features, weights, intercepts, about, others)
