"""File systems by URL, and patience with them: a fault of the network is tried again a few times, and then said."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from vsil_audit.errors import ConfigurationError, MissingDependencyError, StoreError
from vsil_audit.places.plain import reason, without_secrets

T = TypeVar("T")

ATTEMPTS = 4
_FIRST_PAUSE = 0.5
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "adl": "adlfs", "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol", "oss": "ossfs", "oci": "ocifs",
}  # fmt: skip
_PUTS_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "memory"})
"""What is uploaded there appears under its name when it is whole, or not at all."""

_CREATES_ALONE = frozenset({"s3", "s3a"})

_OF_THE_PLACE = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError", "RefreshError",
     "SSOTokenLoadError", "UnauthorizedSSOTokenError", "DefaultCredentialsError", "ClientAuthenticationError",
     "AuthenticationException", "ProfileNotFound"}
)  # fmt: skip
_UNAUTHORISED = (401, 403)
_WORTH_WAITING = (408, 425, 429)


def scheme_of(url: str) -> str:
    return url.partition("://")[0]


def puts_whole(url: str) -> bool:
    """Whether the file system of `url` is an object store; elsewhere a file is written under another name first."""
    return scheme_of(url) in _PUTS_WHOLE


_shared: dict[str, Any] = {}
"""By scheme and bucket or host: those whose connections serve all threads (fsspec itself keeps one for each thread)."""


def creates_alone(url: str) -> bool:
    """Whether of two that create one file at the same moment only one succeeds, as far as is known of `url`'s store."""
    return scheme_of(url) in _CREATES_ALONE


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of `url`, and the path in it.

    Raises MissingDependencyError with the command that installs what is missing, ConfigurationError for a scheme that
    nobody knows.
    """
    scheme = scheme_of(url)
    of_whom = "/".join(url.split("/")[:3])
    if (known := _shared.get(of_whom)) is not None:
        return known, str(known._strip_protocol(url))
    package = _PACKAGES.get(scheme, "")
    try:
        core: Any = import_module("fsspec.core")
    except ImportError as error:
        wanted = f"fsspec {package}".strip()
        raise MissingDependencyError(
            f"{url} needs {wanted.replace(' ', ' and ')}", f"Run `pip install {wanted}`."
        ) from error
    try:
        opened, path = core.url_to_fs(url, **_options(scheme))
    except ImportError as error:
        remedy = f"Run `pip install {package}`." if package else reason(error)
        raise MissingDependencyError(f"{without_secrets(url)} needs {package or 'another package'}", remedy) from error
    except ValueError as error:
        raise ConfigurationError(
            f"{without_secrets(url)} cannot be opened: {reason(error)}", "Check the scheme, as in s3://BUCKET/FOLDER."
        ) from error
    if opened.async_impl:
        opened = _shared.setdefault(of_whom, opened)
    return opened, str(path)


def _options(scheme: str) -> dict[str, Any]:
    if scheme not in ("http", "https"):
        return {}
    from vsil_audit.places.web import staying_client

    return {"get_client": staying_client}


def patiently(url: str, doing: str, action: Callable[[Any, str], T]) -> T:
    """`action(file system, path)` for `url`, again where it fails for a reason that may pass.

    Raises OSErrors of the place's state as they are (FileNotFoundError, FileExistsError …), else StoreError that says
    what failed while `doing`, and the remedy.
    """
    pause = _FIRST_PAUSE
    for attempt in range(1, ATTEMPTS + 1):
        try:
            opened, path = _opened(url)
            return action(opened, path)
        except (*_OF_THE_PLACE, MissingDependencyError, ConfigurationError):
            raise
        except Exception as error:  # every file system has errors of its own
            if (final := _final(url, doing, error)) is not None:
                raise final from error
            if attempt == ATTEMPTS:
                raise StoreError(
                    f"{doing} {without_secrets(url)} failed {ATTEMPTS} times, at last with {reason(error)}",
                    "Check the network and the place, and run the same command again; what was done is kept.",
                ) from error
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not for security
        pause *= 2
    raise AssertionError("unreachable")


def _opened(url: str) -> tuple[Any, str]:
    opened, path = filesystem(url)
    opened.invalidate_cache()  # others write here too: what was listed a minute ago may not be so
    return opened, path


def _final(url: str, doing: str, error: Exception) -> StoreError | None:
    """The error to raise for one that would come again; None where another attempt may help."""
    where = without_secrets(url)
    status = next((s for name in ("status", "code") if isinstance(s := getattr(error, name, None), int)), 0)
    if isinstance(error, PermissionError) or type(error).__name__ in _NO_CREDENTIALS or status in _UNAUTHORISED:
        return StoreError(
            f"{doing} {where} is not allowed: {reason(error)}",
            "Give this process credentials that allow it, in the environment or the provider's own files "
            "(AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS …), or check the place's name.",
        )
    if isinstance(error, NotImplementedError):
        return StoreError(
            f"{doing} {where} is not possible: {scheme_of(url)} places cannot do that.", "Name another place."
        )
    if 400 <= status < 500 and status not in _WORTH_WAITING:
        return StoreError(f"{doing} {where} failed: {reason(error)}", "Check the place's name.")
    return None
