"""Does a query reveal what its image shows? A panel of multimodal judges says how far, and by which words."""

from vsil_audit.detectors.llm_judge.detector import LlmJudge

__all__ = ["LlmJudge"]
