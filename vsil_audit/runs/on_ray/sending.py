"""A prepared detector on its way to other processes: prepared once, and not in each of them."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import Any

from vsil_audit.detectors.base import Detector, SetContext
from vsil_audit.features.clip.in_use import ClipTexts
from vsil_audit.places.addresses import Place
from vsil_audit.runs.folder import RunFolder

_PARTS = ("groups", "interval_groups", "clip_texts")


@dataclass(frozen=True, slots=True)
class SharedContext:
    """What a process of the cluster makes a detector's context of. `groups`, `interval_groups`: Ray's references to the
    arrays. `clip`: see `ClipTexts.to_json`."""

    place: Place
    n_pairs: int
    groups: Any
    interval_groups: Any
    seed: int
    options: dict[str, str]
    clip: dict[str, Any] | None

    def opened(self) -> SetContext:
        """The context here; its `clip_texts` are for the caller to close."""
        import ray

        return SetContext(
            read=RunFolder(self.place).batches,
            n_pairs=self.n_pairs,
            groups=ray.get(self.groups),
            interval_groups=ray.get(self.interval_groups),
            seed=self.seed,
            options=self.options,
            clip_texts=None if self.clip is None else ClipTexts.of_json(self.clip),
        )


def packed(detector: Detector, context: SetContext) -> bytes | None:
    """The detector as bytes, without what every process has of its own; None for one that cannot be sent."""
    from ray import cloudpickle

    own = {id(getattr(context, name)): name for name in _PARTS if getattr(context, name) is not None}

    class Packing(cloudpickle.CloudPickler):  # type: ignore[misc]  # Ray is not typed here
        def persistent_id(self, found: object) -> str | None:
            return own.get(id(found))

    target = io.BytesIO()
    try:
        Packing(target).dump(detector)
    except Exception:  # noqa: BLE001 - a lock, an open model, whatever a detector holds: it is prepared in each process
        return None
    return target.getvalue()


def unpacked(data: bytes, context: SetContext) -> Detector:
    """The detector again, with this process's own parts of `context`."""

    class Unpacking(pickle.Unpickler):
        def persistent_load(self, name: str) -> Any:
            return getattr(context, name)

    detector: Detector = Unpacking(io.BytesIO(data)).load()  # ours, from a process of this very run
    return detector
