"""Model strings (`openai/gpt-4o-mini`, `vllm/NAME@http://host:8000/v1`) and the endpoints that they name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import urlsplit

from vsil_audit.errors import ConfigurationError

OWN_KEY = "VSIL_AUDIT_API_KEY"
"""The environment variable whose key goes to an endpoint given by `--base-url`: never the key of another provider."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A provider: where it is, in which environment variables its key may stand, whether it wants one."""

    base_url: str
    key_variables: tuple[str, ...]
    needs_key: bool = True
    billed: bool = True
    max_tokens_field: str = "max_tokens"


_KNOWN: Mapping[str, _Known] = MappingProxyType(
    {
        "openai": _Known("https://api.openai.com/v1", ("OPENAI_API_KEY",), max_tokens_field="max_completion_tokens"),
        "openrouter": _Known("https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
        "together": _Known("https://api.together.xyz/v1", ("TOGETHER_API_KEY",)),
        "gemini": _Known(
            "https://generativelanguage.googleapis.com/v1beta/openai", ("GEMINI_API_KEY", "GOOGLE_API_KEY")
        ),
        "ollama": _Known("http://127.0.0.1:11434/v1", ("OLLAMA_API_KEY",), needs_key=False, billed=False),
        "vllm": _Known("", ("VLLM_API_KEY",), needs_key=False, billed=False),
    }
)


class Secret:
    """An API key. Nothing that prints, logs, formats or pickles it shows it; `reveal` is called where it is sent."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        return self.__value

    def __repr__(self) -> str:
        return "[key]"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An OpenAI-compatible endpoint and a model of it. `base_url` has no trailing slash; `key` is None where none is
    sent, `key_variables` where it was looked for; `billed` says whether calls cost money for each token, as far as the
    model string tells."""

    provider: str
    model: str
    base_url: str
    key: Secret | None
    billed: bool
    max_tokens_field: str = "max_tokens"
    key_variables: tuple[str, ...] = ()

    @property
    def chat_url(self) -> str:
        return f"{self.base_url}/chat/completions"


def provider_names() -> tuple[str, ...]:
    """The first parts of model strings that name an endpoint."""
    return tuple(_KNOWN)


def key_variables(provider: str) -> tuple[str, ...]:
    """The environment variables in which that provider's key is looked for, in order."""
    return _KNOWN[provider].key_variables


def needs_key(provider: str) -> bool:
    """Whether that provider answers nobody without a key."""
    return _KNOWN[provider].needs_key


def endpoint(model: str, base_url: str | None = None, environment: Mapping[str, str] | None = None) -> Endpoint:
    """The endpoint that a model string names; `base_url` puts another in its place.

    Keys are read from `environment` (default: the process's) only. Raises ConfigurationError for a string that names
    nothing, an address that is none, or a missing key; the key is in no message.
    """
    variables = os.environ if environment is None else environment
    provider, name = _split(model)
    known = _known(provider, model)
    name, at, own_address = name.partition("@") if provider == "vllm" else (name, "", "")
    if at and base_url:
        raise ConfigurationError(f"{model} names its address already.", "Leave out --base-url, or the part after @.")
    address = base_url or own_address or _usual_address(provider, known, variables)
    if not address:
        raise ConfigurationError(
            f"{model} does not say where the server is.", f"Write {model}@http://HOST:PORT/v1, or give --base-url."
        )
    if not name.strip():
        raise ConfigurationError(f"{model} names no model.", "Write PROVIDER/MODEL, such as openai/gpt-4o-mini.")
    replaced = base_url is not None
    names = (OWN_KEY,) if replaced else known.key_variables
    key = _key(names, variables)
    if key is None and known.needs_key and not replaced:
        raise ConfigurationError(
            f"There is no key for {provider}.", f"Set the environment variable {' or '.join(known.key_variables)}."
        )
    return Endpoint(
        provider,
        name,
        _checked_address(address),
        key,
        known.billed,
        "max_tokens" if replaced else known.max_tokens_field,
        names,
    )


def _split(model: str) -> tuple[str, str]:
    provider, slash, name = model.partition("/")
    if not slash or not provider or not name:
        raise ConfigurationError(f"{model!r} is not a model.", "Write PROVIDER/MODEL, such as openai/gpt-4o-mini.")
    return provider, name


def _known(provider: str, model: str) -> _Known:
    if provider not in _KNOWN:
        close = get_close_matches(provider, _KNOWN, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise ConfigurationError(
            f"{model}: there is no provider {provider!r}.{hint}",
            f"Known: {', '.join(_KNOWN)}, hf, scripted. Any compatible server: vllm/MODEL@http://HOST:PORT/v1.",
        )
    return _KNOWN[provider]


def _usual_address(provider: str, known: _Known, variables: Mapping[str, str]) -> str:
    host = variables.get("OLLAMA_HOST", "").strip() if provider == "ollama" else ""
    if not host:
        return known.base_url
    address = host if "//" in host else f"http://{host}"
    parts = urlsplit(address)
    name = "127.0.0.1" if parts.hostname in (None, "0.0.0.0") else parts.hostname  # noqa: S104 - what Ollama listens on, not us
    return f"{parts.scheme}://{name}:{parts.port or 11434}/v1"


def _checked_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.username or parts.password:
        raise ConfigurationError(
            "The address of the endpoint holds a user name or password.", "Take it out; keys come from the environment."
        )
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        raise ConfigurationError(
            f"{shown} is not the address of an endpoint.", "Write http(s)://HOST[:PORT]/PATH, with nothing after it."
        )
    return address.rstrip("/")


def _key(names: tuple[str, ...], variables: Mapping[str, str]) -> Secret | None:
    for name in names:
        value = variables.get(name, "").strip()
        if value:
            if not value.isascii() or not value.isprintable():
                raise ConfigurationError(f"The key in {name} holds characters that no key has.", f"Set {name} again.")
            return Secret(value)
    return None


def is_loopback(base_url: str) -> bool:
    """Whether that address is this machine, which no proxy can reach."""
    host = urlsplit(base_url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
