"""What the user wrote as a place: a path, or a URL. Secrets have no business in either."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from vsil_audit.errors import ConfigurationError
from vsil_audit.places.plain import without_secrets
from vsil_audit.places.remote_path import RemotePath

Place: TypeAlias = "Path | RemotePath"

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)(?P<chain>(?:::[^/]*)?)://(?P<rest>.*)", re.DOTALL)
_LOCAL = frozenset({"file", "local"})
_OF_THE_HUB = "hf"  # a data set's id there, downloaded by its own rules: see sources.hub
_FROM_ENVIRONMENT = (
    "Leave the secret out; it is taken from the environment or the provider's own files (AWS_PROFILE, "
    "AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS …), as by the provider's own tools."
)


def place(given: str | Path | RemotePath) -> Place:
    """The place that `given` names; `~` is the home folder. Nothing is looked at.

    Raises ConfigurationError for a URL that carries a password or a token, or chains file systems (`zip::s3://…`).
    """
    if not isinstance(given, str):
        return given.expanduser() if isinstance(given, Path) else given
    url = _URL.fullmatch(given)
    if url is None or url["scheme"].lower() == _OF_THE_HUB:
        return Path(given).expanduser()
    _refuse_secrets(given)
    if url["chain"]:
        raise ConfigurationError(
            f"{given} chains file systems, which is not supported", "Name the folder itself, or unpack the archive."
        )
    scheme = url["scheme"].lower()
    if scheme in _LOCAL:
        return _local(url["rest"], given)
    if not url["rest"].strip("/"):
        raise ConfigurationError(f"{given} names no folder", f"Write {scheme}://BUCKET/FOLDER.")
    return RemotePath(f"{scheme}://{url['rest'].rstrip('/')}")


def _refuse_secrets(given: str) -> None:
    clean = without_secrets(given)
    if clean != given:
        raise ConfigurationError(
            f"{clean} was given with a password or a query, which may be a secret", _FROM_ENVIRONMENT
        )


def _local(rest: str, given: str) -> Path:
    host, slash, path = rest.partition("/")
    if not slash or host not in ("", "localhost"):
        raise ConfigurationError(f"{given} is no file of this machine", "Write file:///FOLDER, or the path alone.")
    path = unquote(path)
    return Path(path if os.name == "nt" else f"/{path}")
