"""What building with models is for: said once to everybody, before anything is asked."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.errors import ConfigurationError
from vsil_audit.places.cache import cache_folder
from vsil_audit.runs.folder import write_atomically

VERSION = 1
NOTICE = (
    "Models are going to write or rewrite test queries that stand beside unsafe images. What is built is for testing "
    "how models handle unsafe requests: not for training models to comply with them, and not for doing what they ask. "
    "No answers are ever written. Sexual content that involves minors is refused in any form. Keep the set away from "
    "people who should not see it, and follow the terms of the models and of the images that you use."
)


def acknowledge(cache: Path | None, *, acknowledged: bool) -> bool:
    """True where the user has acknowledged the notice, now or before: a file in the cache folder remembers.

    Raises ConfigurationError (exit code 2) with the notice where nobody has.
    """
    file = (cache or cache_folder()) / f"use-acknowledged-{VERSION}"
    if acknowledged:
        write_atomically(file, NOTICE.encode())
    elif not file.is_file():
        raise ConfigurationError(
            f"building with models is used for the first time here. {NOTICE}",
            "If you agree, give --acknowledge-use once; later commands remember it.",
        )
    return True
