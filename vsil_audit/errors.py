"""Errors that people see. Each says what is wrong, where, and what to do; the CLI turns it into an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    THRESHOLD_CROSSED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    NO_PROVIDER = 4
    DEFECT = 70
    INTERRUPTED = 130


class VsilAuditError(Exception):
    """Base of all expected errors. `remedy` is one sentence that tells what to do next."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class DatasetError(VsilAuditError):
    """The dataset cannot be read as it stands, or it is not clear how to read it."""


class AmbiguousQueryError(DatasetError):
    """Several columns could be the query: `columns`, each a view that can be asked for."""

    def __init__(self, message: str, remedy: str, columns: Sequence[str]) -> None:
        super().__init__(message, remedy)
        self.columns = tuple(columns)


class ConfigurationError(VsilAuditError):
    """Options that contradict each other or name something that does not exist."""


class RunFolderError(VsilAuditError):
    """The run folder cannot be used: another dataset's, damaged, or not writable."""


class StoreError(VsilAuditError, OSError):
    """A place on another file system cannot be used: it is not allowed, or does not answer."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.strerror = message

    def __str__(self) -> str:
        return self.message


class MissingDependencyError(VsilAuditError):
    """An optional part is not installed; the remedy is the command that installs it."""


class DetectorError(VsilAuditError):
    """A detector broke outside single pairs, so that it has no findings. `what` says how, without naming it."""

    exit_code = ExitCode.DEFECT

    def __init__(self, detector: str, what: str) -> None:
        self.detector = detector
        self.what = what
        super().__init__(
            f"the detector {detector} {what}",
            f"Leave it out with --skip {detector}, or run the same command again; what the others found is kept.",
        )
