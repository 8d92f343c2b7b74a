"""The answers of evaluated models, gathered from runs by the set that they were asked of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vsil_audit.detectors.chat import Condition
from vsil_audit.errors import ConfigurationError
from vsil_audit.evaluation.alignment import SetAnswers
from vsil_audit.runs.asked.columns import Asked, PairPlaces
from vsil_audit.runs.asked.votes import Shares
from vsil_audit.runs.columns import pair_columns
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.evaluated.answers import read_answers
from vsil_audit.runs.evaluated.summary import harmful_pairs
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric
from vsil_audit.stats.clusters import Groups, connected_groups


def set_answers(runs: Sequence[RunFolder], condition: str = Condition.PAIR.value) -> tuple[list[SetAnswers], list[str]]:
    """One entry for each set that the runs are of, in the order given, and what a reader must know of them.

    Runs are of one set where data and view are equal; their pairs are matched by id. Of the pairs, those that the set
    does not label safe count; of the answers, those to the plain query. A model that several runs of a set evaluated
    is taken from the first. Raises ConfigurationError for a run that is no evaluation.
    """
    by_set: dict[tuple[str, str], list[RunFolder]] = {}
    for run in runs:
        manifest = run.manifest()
        by_set.setdefault((manifest.fingerprint, manifest.config.view), []).append(run)
    names = _names(list(by_set), [of_set[0] for of_set in by_set.values()])
    warnings: list[str] = []
    found = [_one_set(name, of_set, condition, warnings) for name, of_set in zip(names, by_set.values(), strict=True)]
    return found, warnings


def evaluation_of(run: RunFolder) -> Evaluation:
    """Raises ConfigurationError where the run evaluated no models."""
    found = run.summary().evaluation
    if found is None:
        raise ConfigurationError(
            f"{run.path} holds no evaluation of models", "Name runs that `vsil-audit evaluate` wrote."
        )
    return found


def _names(sets: Sequence[tuple[str, str]], firsts: Sequence[RunFolder]) -> list[str]:
    """A set's name, with its view, or a part of its fingerprint, where that is needed to tell it from another's."""
    names = [run.manifest().dataset_name for run in firsts]
    longer = [f"{name} {view}" for name, (_, view) in zip(names, sets, strict=True)]
    longest = [f"{name} {fingerprint[:8]}" for name, (fingerprint, _) in zip(longer, sets, strict=True)]
    return next((found for found in (names, longer) if len(set(found)) == len(found)), longest)


def _one_set(name: str, runs: Sequence[RunFolder], condition: str, warnings: list[str]) -> SetAnswers:
    places: dict[str, int] = {}
    rates: dict[str, Metric] = {}
    safe: dict[str, tuple[list[int], Shares]] = {}
    links: list[tuple[int, int]] = []
    for run in runs:
        told = {
            b.model: b.safe_on_harmful
            for b in evaluation_of(run).balance
            if (b.condition, b.variant) == (condition, "")
        }
        at = [places.setdefault(pair_id, len(places)) for pair_id in run.pair_ids()]
        pairs, groups = pair_columns(run), clusters(run, len(at)).for_intervals
        links += _links(at, groups)
        answers, harmful = read_answers(run, PairPlaces(run, len(at))), harmful_pairs(pairs, groups).among
        for model, rate in told.items():
            if model in rates:
                warnings.append(f"{model} was evaluated on {name} by several runs: the first of them is taken.")
                continue
            handled = answers.handled_safely(Asked(model, condition))
            rates[model] = rate
            safe[model] = at, np.where(harmful & (handled >= 0), handled.astype(np.float64), np.nan)
    return SetAnswers(
        name,
        condition,
        rates,
        {model: _spread(at, values, len(places)) for model, (at, values) in safe.items()},
        connected_groups(len(places), links),
    )


def _links(at: Sequence[int], groups: Groups) -> Iterator[tuple[int, int]]:
    """Each pair of a run and the next one of its group."""
    last: dict[int, int] = {}
    for place, group in zip(at, groups.tolist(), strict=True):
        if group in last:
            yield last[group], place
        last[group] = place


def _spread(at: Sequence[int], values: Shares, n: int) -> Shares:
    """`values` of a run's pairs at their places among all `n` pairs of the set; NaN elsewhere."""
    spread = np.full(n, np.nan)
    spread[at] = values
    return spread
