"""Work given out to a pool of Ray actors, by Ray Data: it streams, waits where workers are behind, and replaces those
that were lost and gives their work to others."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from vsil_audit.errors import ConfigurationError, VsilAuditError
from vsil_audit.runs.on_ray.cluster import Cluster, Pool

T = TypeVar("T")
A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class Worker(Protocol[T_contra, A_co]):
    """Made once in each process of the pool; called for each piece of work, perhaps by several threads at once."""

    def __call__(self, work: T_contra, /) -> A_co: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class CarriedError:
    """An error on its way to another process: pickle would call its type with its message alone."""

    kind: type[BaseException] | None
    arguments: tuple[object, ...]
    state: dict[str, object]
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> CarriedError:
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, VsilAuditError):
            return cls(type(error), error.args, dict(error.__dict__), trace)
        return cls(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else None, (), {}, trace)

    def error(self) -> BaseException:
        if self.kind is KeyboardInterrupt:
            return KeyboardInterrupt()
        if self.kind is None or not issubclass(self.kind, VsilAuditError):
            return RuntimeError(f"a worker of the cluster met an error that is ours:\n{self.trace}")
        error = self.kind.__new__(self.kind, *self.arguments)
        error.args = self.arguments
        error.__dict__.update(self.state)
        return error


class Spread(Generic[T, A]):
    """`work` is called in one process of the cluster, on the driver's machine, and what it yields is given to workers
    that `make(*arguments)` makes. `at_once`: how many pieces each worker has in hand at a time."""

    def __init__(
        self,
        work: Callable[[], Iterable[T]],
        make: Callable[..., Worker[T, A]],
        arguments: tuple[object, ...],
        cluster: Cluster,
        pool: Pool,
        at_once: int = 1,
    ) -> None:
        self._work = work
        self._make = make
        self._arguments = arguments
        self._cluster = cluster
        self._pool = pool
        self._at_once = at_once

    def answers(self) -> Iterator[A]:
        """What the workers answer, as it comes. An error that one of them met is raised, and the rest is left undone.

        Raises ConfigurationError when the work cannot be sent to other processes.
        """
        answers = self._dataset().iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0)
        for rows in answers:
            for answer in rows["answer"]:
                if isinstance(answer, CarriedError):
                    raise answer.error()
                yield answer

    def _dataset(self) -> Any:
        import ray.data
        from ray import cloudpickle

        try:
            cloudpickle.dumps((self._work, self._arguments))
        except Exception as error:
            raise ConfigurationError(
                f"this scan cannot be sent to the workers of a cluster: {type(error).__name__}: {error}",
                "Leave out --engine ray.",
            ) from error
        compute = ray.data.ActorPoolStrategy(
            min_size=1,
            initial_size=self._pool.size,
            max_size=self._pool.size,
            max_concurrent_calls_per_actor=self._at_once,
            enable_true_multi_threading=True,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray Data deprecates its own settings as it makes them
            return self._planned(compute)

    def _planned(self, compute: Any) -> Any:
        import ray.data

        with ray.data.DataContext.current(_silent()):
            poured = ray.data.from_items([0], override_num_blocks=1).map_batches(
                _Poured(self._work, Path.cwd()),
                batch_size=None,
                num_cpus=0,
                label_selector={"ray.io/node-id": self._cluster.here},
            )
            return poured.map_batches(
                _Hand,
                batch_size=1,
                fn_constructor_args=(self._make, self._arguments),
                compute=compute,
                num_cpus=self._pool.cpus,
                num_gpus=self._pool.gpus or None,
            )


def _silent() -> Any:
    """Ray Data's settings: no bars or logs of its own, and a block for each piece of work."""
    import ray.data

    for name in ("ray.data", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = ray.data.DataContext.get_current().copy()
    settings.enable_progress_bars = False
    settings.target_max_block_size = 1
    return settings


def _objects(found: list[Any]) -> npt.NDArray[np.object_]:
    column = np.empty(len(found), dtype=object)
    column[:] = found
    return column


@dataclass(frozen=True, slots=True)
class _Poured:
    """Yields each piece of the work as a block of one row. `folder`: what relative paths in the work start from."""

    work: Callable[[], Iterable[Any]]
    folder: Path

    def __call__(self, _: object) -> Iterator[dict[str, Any]]:
        try:
            os.chdir(self.folder)
            for piece in self.work():
                yield {"piece": _objects([piece])}
        except Exception as error:  # noqa: BLE001 - it is raised where the answers are awaited
            yield {"piece": _objects([CarriedError.of(error)])}


class _Hand:
    """What Ray makes an actor of. A worker that cannot be made says so as its answer, else it would be tried again."""

    def __init__(self, make: Callable[..., Worker[Any, Any]], arguments: tuple[object, ...]) -> None:
        self._worker: Worker[Any, Any] | None = None
        self._unmade: CarriedError | None = None
        try:
            self._worker = make(*arguments)
        except Exception as error:  # noqa: BLE001 - it is raised where the answers are awaited
            self._unmade = CarriedError.of(error)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        return {"answer": _objects([self._answer(piece) for piece in rows["piece"]])}

    def _answer(self, piece: Any) -> Any:
        if self._worker is None or isinstance(piece, CarriedError):
            return self._unmade or piece
        try:
            return self._worker(piece)
        except Exception as error:  # noqa: BLE001 - likewise
            return CarriedError.of(error)

    def __del__(self) -> None:
        if self._worker is not None:
            self._worker.close()
