"""From a model string to a gateway."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway.breaker import Patience
from vsil_audit.gateway.cache import AnswerCache
from vsil_audit.gateway.endpoints import endpoint, is_loopback
from vsil_audit.gateway.gateway import Gateway
from vsil_audit.gateway.limiter import Limits
from vsil_audit.gateway.meter import Meter
from vsil_audit.gateway.provider import Provider
from vsil_audit.gateway.retry import RetryPolicy


def open_provider(model: str, base_url: str | None = None) -> Provider:
    """What a model string names: `scripted/FILE.yaml`, `hf/…` for a model in this process, or a model of an
    OpenAI-compatible endpoint.

    Raises ConfigurationError for a string that names nothing, a missing key, or a local model that is not here;
    MissingDependencyError where local models cannot run. Nothing is sent, and no weights are read yet.
    """
    kind, _, rest = model.partition("/")
    if kind == "scripted":
        from vsil_audit.gateway.scripted import ScriptedProvider

        return ScriptedProvider.from_file(Path(rest))
    if kind == "hf":
        if base_url is not None:
            raise ConfigurationError(f"{model} runs in this process and has no address.", "Leave out --base-url.")
        from vsil_audit.gateway.local import LocalProvider

        return LocalProvider(rest)
    from vsil_audit.gateway.remote import RemoteProvider

    return RemoteProvider(endpoint(model, base_url))


def is_billed(model: str, base_url: str | None = None) -> bool:
    """Whether calls to that model may cost money for each token: not on this machine, nor from a file of rules. Raises
    what `open_provider` raises."""
    if model.partition("/")[0] in ("scripted", "hf"):
        return False
    found = endpoint(model, base_url)
    return found.billed and not is_loopback(found.base_url)


def open_gateway(
    model: str,
    *,
    base_url: str | None = None,
    cache: AnswerCache | None = None,
    meter: Meter | None = None,
    limits: Limits | None = None,
    retry: RetryPolicy | None = None,
    patience: Patience | None = None,
) -> Gateway:
    """A gateway to the model that `model` names. Raises ConfigurationError or MissingDependencyError; nothing
    is sent yet."""
    provider = open_provider(model, base_url)
    return Gateway(provider, cache=cache, meter=meter, limits=limits, retry=retry, patience=patience)
