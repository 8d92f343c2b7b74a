"""A finished run of a judge, and a dataset that nobody scanned, to be reviewed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from calibrated import World, write_finished
from cli.conftest import Said  # noqa: F401  what `vsil_audit` returns
from cli.conftest import vsil_audit as vsil_audit

from vsil_audit.review.choosing import Wanted, choose
from vsil_audit.review.labels import FILE, LabelStore
from vsil_audit.review.material import Material, of_run

PAIRS = 120


@dataclass(frozen=True)
class Reviewed:
    """A run whose judge errs, the truth about its pairs, and labels in its folder."""

    path: Path
    world: World

    def material(self) -> Material:
        return of_run(self.path)

    def store(self) -> LabelStore:
        return LabelStore(self.path / FILE, "set")

    def label(self, annotator: str, wanted: Wanted, errs: Callable[[int], bool] = lambda place: False) -> list[str]:
        """As a person does who knows the truth, but for the pairs on which they err; returns the ids."""
        material = self.material()
        with self.store() as store:
            annotator = store.join(annotator)
            items = choose(wanted, material, store)
            for item in items:
                place = material.places[item.pair_id].number
                wrong = errs(place)
                said = {
                    "text_harmful": bool(self.world.text[place]) != wrong,
                    "pair_harmful": bool(self.world.pair[place]) != wrong,
                    "text_fits_image": True,
                }
                for name, yes in said.items():
                    store.put(annotator, item.number, name, "yes" if yes else "no")
        return [item.pair_id for item in items]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    world = World(PAIRS, 0.85, 0.9, seed=3)
    audit = write_finished(tmp_path_factory.mktemp("finished") / "run", {"safety_judge": world.verdicts()})
    return Reviewed(audit.path, world)


@pytest.fixture
def reviewed(finished: Reviewed, tmp_path: Path) -> Reviewed:
    """A copy of the run for each test."""
    return Reviewed(shutil.copytree(finished.path, tmp_path / "run"), finished.world)
