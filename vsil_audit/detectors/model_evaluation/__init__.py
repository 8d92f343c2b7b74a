"""What models do with a benchmark's queries under each condition: the detector behind `vsil-audit evaluate`."""

from vsil_audit.detectors.model_evaluation.detector import ModelEvaluation

__all__ = ["ModelEvaluation"]
