"""vsil-audit doctor"""

from __future__ import annotations

import click


@click.command("doctor")
def command() -> None:
    """Tell which detectors can run here, which models can be asked and which images can be made, and the one command
    that enables each of the others.

    Keys are looked for by the names of their variables; nothing is sent anywhere.

    \b
    Example:
      vsil-audit doctor
    """
    from rich.console import Console

    from vsil_audit.builders.generators.ways import ways_to_images
    from vsil_audit.detectors import registry
    from vsil_audit.detectors.base import Need
    from vsil_audit.gateway.ways import ways_to_models
    from vsil_audit.reporting.doctor_view import Item, doctor_view
    from vsil_audit.runs.plan import command_that_names, readiness_here
    from vsil_audit.torch_fit import REMEDY, torchvision_fault

    states = []
    for name in registry.available():
        spec = (detector := registry.load(name)).spec
        readiness = readiness_here(detector)
        asks_models = readiness.ready and Need.CHAT in spec.needs
        reason = "asks the models that are named for it" if asks_models else readiness.reason
        remedy = command_that_names(spec) if asks_models else readiness.remedy
        states.append(Item(name, spec.asks, readiness.ready, reason=reason, remedy=remedy))
    ways = [Item(way.name, way.says, way.ready, remedy=way.remedy) for way in ways_to_models()]
    images = [Item(way.name, way.says, way.ready, remedy=way.remedy) for way in ways_to_images()]
    fault = torchvision_fault()
    Console().print(doctor_view(states, ways, fault, REMEDY, images), crop=False)
