"""What a detector that looks at images says of one that could not be opened."""

from __future__ import annotations

from types import MappingProxyType

from vsil_audit.features.facts import ImageError
from vsil_audit.pair import Failed

ABSENT = MappingProxyType({"missing": "the image is not here", "remote_not_fetched": "the image was not fetched"})
"""An image that nobody has put here is no failed look: the pair stands as one without image. Reasons, by error kind."""

# An image error says what is wrong with the image; as the reason of a failed finding it must say that it is the image.
_FAILURE_KINDS = {kind: f"{kind}_image" for kind in ("missing", "truncated", "corrupt", "unreadable", "too_large")}


def failure(name: str, error: ImageError) -> Failed:
    """A failed look at the image called `name`."""
    return Failed(_FAILURE_KINDS.get(error.kind, error.kind), f"{name}: {error.detail}")
