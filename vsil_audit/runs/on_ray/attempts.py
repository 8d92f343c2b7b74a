"""How often work was begun: what ends its worker each time must not be tried for ever."""

from __future__ import annotations

from collections import Counter
from typing import Any

from vsil_audit.runs.on_ray.cluster import Cluster

ATTEMPTS = 3


class _Begun:
    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, work: str) -> int:
        self._begun[work] += 1
        return self._begun[work]


class Attempts:
    """Counts beginnings, for all workers of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        import ray

        where = {"ray.io/node-id": cluster.here}
        options: dict[str, Any] = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "label_selector": where}
        self._counter = ray.remote(**options)(_Begun).remote()

    def are_used_up(self, work: str) -> bool:
        """Whether `work` was begun ATTEMPTS times before and never came to an end. Counts this time as one more."""
        import ray

        return bool(ray.get(self._counter.begin.remote(work)) > ATTEMPTS)
