"""Which pairs each run flagged, as arrays, and which pairs of two runs are the same."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from vsil_audit.reporting.compare_asked import asked_flags
from vsil_audit.runs.columns import finding_columns, issue_columns, lens_columns
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.summary import Summary
from vsil_audit.stats.clusters import PairGroups, interval_groups

Flags = npt.NDArray[np.bool_]

CONTENT = "content lens"
PREDICTED = "predicted lens"
_METRIC_OF = {"suspected_rate": CONTENT, "predicted_rate": PREDICTED}


def flag_names(metric: str) -> str:
    """The key in RunFlags of the flags that `metric` is the rate of."""
    return _METRIC_OF.get(metric, metric.removesuffix(".rate"))


@dataclass(frozen=True, slots=True)
class RunFlags:
    """Per pair of a run, in order: its id, a hash of its text, its images' digests, its scenario (`twin_of`); and per
    detector, and for the content and predicted lenses, whether it was scored and whether flagged, each (pairs,)."""

    ids: list[str]
    texts: list[bytes]
    images: list[tuple[str, ...]]
    scenarios: list[str]
    scored: dict[str, Flags]
    flagged: dict[str, Flags]


def read_flags(run: RunFolder, summary: Summary) -> RunFlags:
    """By the very rules of the run's own rates, of each detector and of each lens."""
    ids, texts, images, scenarios = [], [], [], []
    for batch in run.batches():
        for pair, facts_of_pair in batch:
            ids.append(pair.id)
            texts.append(blake2b(pair.text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
            images.append(tuple(facts.digest for facts in facts_of_pair if facts.digest))
            scenarios.append(f"twin:{pair.id if pair.twin_of is None else pair.twin_of}")
    flags = RunFlags(ids, texts, images, scenarios, {}, {})
    done = [d for d in summary.detectors if d.state == "done"]
    asking = {name for row in (summary.asked.models if summary.asked else ()) for name in row.detectors}
    of_pairs = {
        # a finding does not know which judge can be believed: what models said is counted below
        d.name: finding_columns(run, d.name, len(ids))
        for d in done
        if d.unit == "pair" and d.name not in asking
    }
    for name, columns in of_pairs.items():
        flags.scored[name], flags.flagged[name] = columns.scored, columns.flagged
    for d in done:
        if d.unit == "issues":  # it looks at every pair, and says something only of those with a problem
            flags.scored[d.name] = np.ones(len(ids), dtype=bool)
            flags.flagged[d.name] = issue_columns(run, d.name, len(ids)).flagged
    for lens, key in (("content", CONTENT), ("predicted", PREDICTED)):
        if of_lens := [of_pairs[d.name] for d in done if d.lens == lens and d.name in of_pairs]:
            flags.flagged[key], flags.scored[key] = lens_columns(of_lens, len(ids))
    for name, scored, flagged in asked_flags(run, summary, len(ids)):
        flags.scored[flag_names(name)], flags.flagged[flag_names(name)] = scored, flagged
    return flags


@dataclass(frozen=True, slots=True)
class Matching:
    """Positions of the same pairs in two runs (`first[i]` is `other[i]`), and the group numbers of those pairs: pairs
    that share an image, a scenario or a text in either run. Empty when the runs are not `paired`; `why` says why or why
    not, and `note` what a reader must know of the groups."""

    paired: bool
    why: str
    first: npt.NDArray[np.intp]
    other: npt.NDArray[np.intp]
    groups: npt.NDArray[np.int64]
    only_first: int
    only_other: int
    note: str = ""


def match(first: RunFlags, other: RunFlags, manifest: Manifest, other_manifest: Manifest) -> Matching:
    """Match pairs by id, if the runs are of one set: ids such as 1, 2, 3 agree between sets by accident."""
    at = {pair_id: i for i, pair_id in enumerate(first.ids)}
    both = [(at[pair_id], i) for i, pair_id in enumerate(other.ids) if pair_id in at]
    same = sum(
        first.texts[a] == other.texts[b] or not set(first.images[a]).isdisjoint(other.images[b]) for a, b in both
    )
    paired, why = _same_set(len(both), same, manifest, other_manifest)
    kept = np.array(both if paired else [], dtype=np.intp).reshape(-1, 2)
    groups, note = _groups(first, other, kept)
    n = len(kept)
    return Matching(paired, why, kept[:, 0], kept[:, 1], groups, len(first.ids) - n, len(other.ids) - n, note)


def _groups(first: RunFlags, other: RunFlags, kept: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.int64], str]:
    """Group numbers of the matched pairs; texts that connect most of the set count as its design, as in a scan."""
    found = interval_groups(
        _connected(first, other, kept, texts=True), lambda: _connected(first, other, kept, texts=False)
    )
    if found.few:
        note = (
            f"Shared images or scenarios connect {found.without_texts:,} of {len(kept):,} matched pairs: the intervals "
            "of differences rest on few independent groups."
        )
    else:
        note = (
            f"Repeated texts connect {found.connected:,} of {len(kept):,} matched pairs. The intervals of differences "
            "take those texts as given and group pairs by shared image and scenario only."
        ) * found.texts_given
    return found.groups, note


def _connected(first: RunFlags, other: RunFlags, kept: npt.NDArray[np.intp], *, texts: bool) -> npt.NDArray[np.int64]:
    groups = PairGroups()
    for a, b in kept.tolist():
        parts: list[str | bytes] = [*first.images[a], *other.images[b], first.scenarios[a], other.scenarios[b]]
        groups.add([*parts, first.texts[a], other.texts[b]] if texts else parts)
    return groups.groups()


def _same_set(matched: int, same: int, first: Manifest, other: Manifest) -> tuple[bool, str]:
    if not matched:
        return False, "no pair has an id that is in both"
    if first.fingerprint == other.fingerprint:
        return True, "the runs are of the same data"
    if first.dataset_path == other.dataset_path and first.config.layout == other.config.layout:
        return True, "the runs are of the same dataset"
    if 2 * same >= matched:
        return True, f"{same:,} of {matched:,} pairs with equal ids share their text or an image"
    return False, f"{matched:,} ids are in both, but only {same:,} of these pairs share their text or an image"
