"""The VLSBench paper's own numbers, as data (`source: paper`)."""

from __future__ import annotations

from vsil_audit.evaluation.paper.tables import AlignmentRole, PaperTables, paper_tables

__all__ = ["AlignmentRole", "PaperTables", "paper_tables"]
