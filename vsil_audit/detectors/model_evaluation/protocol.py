"""How models answer in an evaluation: as in the VLSBench paper, or with room for a whole answer."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from vsil_audit.detectors.chat import AskOptions
from vsil_audit.errors import ConfigurationError

DEFAULT, VLSBENCH = "default", "vlsbench"

_SETTLED: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {DEFAULT: {}, VLSBENCH: {"samples": 1, "temperature": 0.0, "max_tokens": 128}}
)
"""What a protocol settles. `vlsbench`: greedy, 128 new tokens (section 5 of the paper), which cuts late warnings."""

PROTOCOLS = tuple(_SETTLED)


def settled(name: str) -> dict[str, Any]:
    """What the protocol settles, as fields of AskOptions."""
    return dict(_SETTLED[name])


def check_protocol(options: AskOptions) -> None:
    """Raises ConfigurationError for an unknown protocol, and for options that are not those it settles."""
    if options.protocol not in _SETTLED:
        raise ConfigurationError(f"there is no protocol {options.protocol!r}", f"Protocols: {', '.join(PROTOCOLS)}.")
    for name, wanted in _SETTLED[options.protocol].items():
        if (given := getattr(options, name)) != wanted:
            raise ConfigurationError(
                f"the protocol {options.protocol} has {name.replace('_', ' ')} {wanted:g}, not {given:g}",
                f"Leave --{name.replace('_', '-')} or --protocol out.",
            )
