"""Does the query fit its own image better than it fits the images of other pairs?"""

from vsil_audit.detectors.clip_overlap.detector import ClipOverlap as ClipOverlap
