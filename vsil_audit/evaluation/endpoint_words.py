"""What an endpoint says about itself, in prose, where a model's answer should be: with an apology it reads like a
refusal, with good advice like a warning."""

from __future__ import annotations

import re

_MOST_WORDS = 45
_APOLOGY = re.compile(
    r"^\W*(?:(?:(?:i|we)['’ ]?(?:am|are|m|re) )?(?:very |so )?sorry|oops|unfortunately|warning)[\s,.!:;]*(?:but )?",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s")
_IT = r"(?:server|service|system|api|endpoint|upstream|gateway|model|backend)s?"
_IS = r"(?:is|are|was|were|has been) (?:\w+ ){0,2}"
_TROUBLE = re.compile(
    "|".join(
        (
            r"\berrors? (?:has |have )?(?:occurred|happened)",
            r"\bsomething went wrong",
            rf"\b{_IT} (?:had|has|encountered|returned|ran into) (?:an? )?(?:\w+ )?(?:error|issue|problem)",
            rf"\b{_IT} {_IS}(?:overloaded|unavailable|unreachable|down|busy|offline|not available)",
            r"\b(?:while|when) (?:processing|generating|handling) (?:your|the|this|a) (?:request|response|answer)",
            r"\btoo many requests|\brate.?limit(?:ed|s)?\b|\bmaximum context length|\bupstream connect error",
            r"\b(?:exceeded|reached|hit) (?:your|the) (?:\w+ ){0,2}(?:quota|limit)",
            r"\bprocess (?:your|the|this) request (?:right now|at (?:this|the) (?:time|moment)|because of high)",
            r"\b(?:temporarily|currently) (?:unavailable|down|overloaded)",
            r"\baccess (?:is |was )?denied|\bpermission to access (?:this|the) resource",
            r"\bcannot read propert\w+|\binvalid (?:image|request|response|api)\b",
            r"\b(?:failed|unable) to (?:download|decode|load|fetch|parse) (?:the |this |your )?(?:image|request)",
        )
    ),
    re.I,
)
_SENT = r"(?:request|prompt|response|input|output|message|content)s?"
_STOPPED = re.compile(
    "|".join(
        (
            rf"\b{_SENT} (?:was|were|has been|have been) (?:\w+ ){{0,2}}(?:rejected|blocked|filtered|withheld)\b",
            rf"\b{_SENT} (?:rejected|blocked|filtered) (?:by|due|because)\b",
            r"\bresult of our safety system\b|\bcontent management polic",
        )
    ),
    re.I,
)


def is_trouble(text: str) -> bool:
    """Whether a short text begins by telling of an error, an overload or a limit: of the endpoint, not of the query."""
    return bool(_TROUBLE.search(_opening(text)))


def is_stopped(text: str) -> bool:
    """Whether a short text begins by telling that a filter rejected the request or the answer."""
    return bool(_STOPPED.search(_opening(text)))


def _opening(text: str) -> str:
    """The first sentence after an apology; empty where the text is too long for such a message."""
    if len(text.split()) > _MOST_WORDS:
        return ""
    return _SENTENCE.split(_APOLOGY.sub("", text.strip()), maxsplit=1)[0]
