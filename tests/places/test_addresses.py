"""What a user may write as a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsil_audit.errors import ConfigurationError
from vsil_audit.places import RemotePath, place
from vsil_audit.places.plain import reason, without_secrets


@pytest.mark.parametrize("given", ["set", "/data/set", "./set", "C:/set", "org/name", "hf://org/name", "a::b"])
def test_what_is_no_url_is_a_path(given: str) -> None:
    assert place(given) == Path(given)


def test_a_home_folder_is_found() -> None:
    assert place("~/set") == Path.home() / "set"


@pytest.mark.parametrize("given", ["file:///data/my%20set", "file://localhost/data/my%20set", "FILE:///data/my set"])
def test_a_file_url_is_the_path(given: str) -> None:
    assert place(given) == Path("/data/my set")


def test_a_path_as_a_url_and_back(tmp_path: Path) -> None:
    odd = tmp_path / "a b%20ü"
    assert place(odd.as_uri()) == odd


def test_other_schemes_are_remote() -> None:
    assert place("s3://bucket/set/") == RemotePath("s3://bucket/set")
    assert place("GS://Bucket/Set") == RemotePath("gs://Bucket/Set")
    assert place(place("memory://a")) == RemotePath("memory://a")


@pytest.mark.parametrize(
    "given",
    [
        "s3://key:SECRET@bucket/set",
        "ftp://me:SECRET@host/set",
        "https://host/set?X-Amz-Signature=SECRET&x=1",
        "s3://bucket/set?token=SECRET",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        place(given)
    assert "SECRET" not in str(caught.value)
    assert "environment" in caught.value.remedy


@pytest.mark.parametrize("given", ["zip::s3://bucket/a.zip", "simplecache::s3://bucket/a", "s3://", "file://host/a"])
def test_what_names_no_folder_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError):
        place(given)


def test_what_libraries_say_is_shown_without_secrets() -> None:
    said = "GET https://u:SECRET@h/x?sig=SECRET failed; aws_secret_access_key=SECRET, Authorization: Bearer SECRET"
    assert "SECRET" not in reason(OSError(said))
    assert without_secrets("ssh://me@host/set") == "ssh://me@host/set"


@pytest.mark.parametrize("name", ["..", "a/../b", "", "/etc/passwd", "a//b", "./a"])
def test_a_name_below_never_leaves_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        RemotePath("s3://bucket/run") / name
