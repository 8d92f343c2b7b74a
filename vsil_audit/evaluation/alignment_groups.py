"""Which checkpoints an alignment comparison sets beside each other: read from a file, or the paper's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsil_audit.errors import ConfigurationError
from vsil_audit.evaluation.paper import AlignmentRole, PaperTables, paper_tables

PAPER, RUN = "paper", "run"
_LARGEST = 1 << 20
_ROLES = tuple(role.value for role in AlignmentRole)
_EXAMPLE = (
    "Write for example:\n"
    "  base: openai/my-base\n"
    "  text_aligned: [openai/my-text-sft]\n"
    "  multimodal_aligned: [openai/my-mm-sft, openai/my-mm-dpo]\n"
    'Names are those given to `evaluate --model`, or {paper: "LLaVA-1.5-7B + Textual SFT"}.'
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as its runs name it, or (`source` is `paper`) as the paper's table does."""

    name: str
    source: str = RUN


@dataclass(frozen=True, slots=True)
class AlignmentGroup:
    """A base model and what was made of it, by role; several checkpoints per role are averaged."""

    name: str
    checkpoints: Mapping[AlignmentRole, tuple[Checkpoint, ...]]

    def of(self, role: AlignmentRole, source: str) -> tuple[str, ...]:
        """Names of the checkpoints of a role that come from `source`."""
        return tuple(c.name for c in self.checkpoints.get(role, ()) if c.source == source)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c.source for found in self.checkpoints.values() for c in found))


def paper_groups() -> tuple[AlignmentGroup, ...]:
    """One group for each model that the paper aligned, with all of its checkpoints."""
    tables = paper_tables()
    return tuple(
        AlignmentGroup(
            base,
            {
                role: tuple(Checkpoint(r.name, PAPER) for r in tables.alignment if r.base == base and r.role is role)
                for role in AlignmentRole
            },
        )
        for base in tables.bases
    )


def read_groups(path: Path) -> tuple[AlignmentGroup, ...]:
    """The groups of a YAML file: one mapping, or a list of them under `groups`.

    Each has `base`, `text_aligned` and `multimodal_aligned`, a checkpoint or a list of them, and perhaps a `name`.
    Raises ConfigurationError, with a remedy, for a file that is not of this form or names what the paper has not.
    """
    found = _yaml(path)
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path}: no mapping of base, text_aligned and multimodal_aligned", _EXAMPLE)
    listed = found.get("groups", found)
    if "groups" in found and (len(found) > 1 or not isinstance(listed, list) or not listed):
        raise ConfigurationError(f"{path}: groups must be a list, and stand alone", _EXAMPLE)
    entries = listed if isinstance(listed, list) else [listed]
    groups = tuple(_group(entry, f"{path}: group {i}", i) for i, entry in enumerate(entries, start=1))
    names = [group.name for group in groups]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{path}: two groups have one name", "Give each group a `name` of its own.")
    return groups


def _yaml(path: Path) -> object:
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1).decode("utf-8-sig")
        if len(text) > _LARGEST:
            raise ConfigurationError(f"{path} is larger than a file of groups can be", _EXAMPLE)
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise ConfigurationError(f"{path} has YAML aliases", "Write each checkpoint where it belongs.")
        if twice := _given_twice(yaml.compose(text, Loader=yaml.SafeLoader)):
            raise ConfigurationError(
                f"{path}, line {twice.start_mark.line + 1}: {twice.value} is given twice", _EXAMPLE
            )
        return yaml.safe_load(text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}", "Check the path.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not YAML: {str(error)[:300]}", _EXAMPLE) from error


def _given_twice(node: Any) -> Any:
    """The first key that its mapping has twice: YAML would keep the last of them without a word."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if isinstance(key.value, str) and key.value in seen:
                return key
            seen.add(key.value if isinstance(key.value, str) else id(key))
            if found := _given_twice(value):
                return found
    if isinstance(node, yaml.SequenceNode):
        return next((found for each in node.value if (found := _given_twice(each))), None)
    return None


def _group(entry: object, where: str, number: int) -> AlignmentGroup:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where}: not a mapping", _EXAMPLE)
    if unknown := [str(key) for key in entry if key not in (*_ROLES, "name")]:
        raise ConfigurationError(f"{where}: no such key: {', '.join(unknown)}", _EXAMPLE)
    checkpoints = {role: tuple(_checkpoints(entry.get(role.value), where)) for role in AlignmentRole}
    for role in (AlignmentRole.TEXT, AlignmentRole.MULTIMODAL):
        if not checkpoints[role]:
            raise ConfigurationError(f"{where}: {role.value} names no checkpoint", _EXAMPLE)
    every = [c for role in AlignmentRole for c in checkpoints[role]]
    if twice := sorted({c.name for c in every if every.count(c) > 1}):
        raise ConfigurationError(f"{where}: named twice: {', '.join(twice)}", "Name each checkpoint once.")
    name = entry.get("name")
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise ConfigurationError(f"{where}: name must be text", _EXAMPLE)
    base = checkpoints[AlignmentRole.BASE]
    return AlignmentGroup(name or (base[0].name if base else f"group {number}"), checkpoints)


def _checkpoints(given: Any, where: str) -> Iterator[Checkpoint]:
    for each in given if isinstance(given, list) else [] if given is None else [given]:
        if isinstance(each, str) and each.strip():
            yield Checkpoint(each)
        elif isinstance(each, dict) and list(each) == [PAPER] and isinstance(each[PAPER], str):
            yield Checkpoint(_in_paper(each[PAPER], where, paper_tables()), PAPER)
        else:
            raise ConfigurationError(f"{where}: not a checkpoint: {str(each)[:100]}", _EXAMPLE)


def _in_paper(name: str, where: str, tables: PaperTables) -> str:
    found = tables.checkpoint(name)
    if found is None:
        has = "; ".join(row.name for row in tables.alignment)
        raise ConfigurationError(f"{where}: the paper has no checkpoint {name!r}", f"It has: {has}")
    return found.name
