"""J(text), J(pair), J(swapped): is the query unsafe, with its image, without it, and with another one?"""

from vsil_audit.detectors.safety_judge.detector import SafetyJudge

__all__ = ["SafetyJudge"]
