"""What every HTML page of ours has in common: one file, autoescape, a strict content policy, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vsil_audit.reporting import charts, numbers
from vsil_audit.reporting.clip_model import clip_model
from vsil_audit.reporting.untrusted import cut, fold, visible
from vsil_audit.wording import plural

_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def json_for_script(value: object) -> Markup:
    """JSON that can stand in a script element: `<`, `>`, `&`, U+2028 and U+2029 are escaped, NaN is refused.

    Raises ValueError for NaN and infinities.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _JSON_ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704  every character that could end the element is escaped above


def render_page(template: str, *, styles: tuple[str, ...], scripts: tuple[str, ...], **values: object) -> str:
    """Render `template` with our own `styles` and `scripts` inline; the page's policy names them by their hashes."""
    style, script = _joined(styles), _joined(scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source_hash(style)}; script-src {_source_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(template)
        .render(
            policy=policy,
            style=Markup(style),  # noqa: S704  files of this package
            script=Markup(script),  # noqa: S704  files of this package
            **values,
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vsil_audit.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(
        charts=charts,
        number=numbers.number,
        plural=plural,
        p_value=numbers.p_value,
        signed_share=numbers.signed_share,
        caveat=_no_caveat,
        clip_model=clip_model,
    )
    environment.filters.update(
        fold=fold, cut=cut, share=numbers.share, words=words, dollars=numbers.dollars, count=lambda n: f"{n:,}"
    )
    return environment


def _shown(value: object) -> object:
    """Text on its way into a page: control characters visible, None empty. Markup of our own passes."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else visible(value) if isinstance(value, str) else value


def _no_caveat(_: object) -> str:
    """Of a page that knows of no asked models; others give their own `caveat`."""
    return ""


def words(name: str) -> str:
    """A stable snake_case word as people read it."""
    return name.replace("_", " ")


def _joined(names: tuple[str, ...]) -> str:
    folder = files("vsil_audit.reporting") / "templates"
    return "\n".join((folder / name).read_text(encoding="utf-8").replace("\r\n", "\n") for name in names)


def _source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
