"""The one page of a review: static, our own styles and script inline, named by their hashes in the policy."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """`policy`: the value of the Content-Security-Policy header that it is to be served with."""

    html: str
    policy: str


def review_page() -> ReviewPage:
    """Images come only as blobs that the script made, requests go only to where the page came from."""
    style = f"{_shared('page.css')}\n{_own('review.css')}"
    script = f"{_shared('page.js')}\n{_own('review.js')}"
    policy = (
        f"default-src 'none'; img-src blob:; connect-src 'self'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    environment = Environment(
        loader=PackageLoader("vsil_audit.review", "templates"), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("review.html.j2").render(
        style=Markup(style),  # noqa: S704  files of this package
        script=Markup(script),  # noqa: S704  files of this package
    )
    return ReviewPage(html, policy)


def _shared(name: str) -> str:
    return _text("vsil_audit.reporting", name)


def _own(name: str) -> str:
    return _text("vsil_audit.review", name)


def _text(package: str, name: str) -> str:
    return (files(package) / "templates" / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
