"""URLs, and what libraries say of them, without what may be a secret."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s?'\"]*)\?[^\s'\"]*")
_NAMED = re.compile(
    r"(?i)(?<![A-Za-z])((?:x-amz-)?(?:signature|credential|security-token)|access[_-]?key(?:[_-]?id)?|secret[_-]?(?:access[_-]?)?key|"
    r"(?:session|sas|bearer|access)[_-]?token|token|password|authorization|api[_-]?key)\b(\s*[=:]\s*)(?:bearer\s+|basic\s+)?"
    r"[^\s,;&'\"]+"
)
_LONGEST = 300


def without_secrets(text: str) -> str:
    """`text` without the passwords and queries of the URLs in it."""
    return _QUERY.sub(r"\1", _PASSWORD.sub(r"\1@", text))


def reason(error: BaseException) -> str:
    """What a library's error says, on one line, short, without secrets."""
    said = " ".join(str(error).split())
    said = _NAMED.sub(r"\1\2…", without_secrets(said))
    kind = type(error).__name__
    return f"{kind}: {said[:_LONGEST]}" if said else kind
