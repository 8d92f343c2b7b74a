"""Benign texts for 2x2 blocks: the package's own control, each text as like in form to the unsafe one as there is."""

from __future__ import annotations

from collections import Counter

import numpy as np

from vsil_audit.builders.probe import style_of
from vsil_audit.builders.seeds import seed_of
from vsil_audit.control import control_texts


class BenignTexts:
    """Deals texts out so that none serves much oftener than another."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._texts = control_texts("pointing")  # that fit whatever image they stand beside
        self._used: Counter[str] = Counter()

    def like(self, text: str, name: str) -> str:
        """The text of like length, question form and pointing among those least used; ties by the seed and `name`."""
        fewest = min(self._used[one] for one in self._texts)
        free = [one for one in self._texts if self._used[one] == fewest]
        styles = style_of([text, *free])
        scale = np.array([40.0, 6.0, 0.5, 1.0, 0.5])
        far = np.abs((styles[1:] - styles[0]) / scale).sum(axis=1)
        chosen = min(range(len(free)), key=lambda place: (float(far[place]), seed_of(self._seed, name, free[place])))
        self._used[free[chosen]] += 1
        return free[chosen]
