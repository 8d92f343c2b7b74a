"""vsil-audit report"""

from __future__ import annotations

import click

from vsil_audit.cli.place_type import PlaceType
from vsil_audit.places.addresses import Place

_FORMS = ["html", "json", "csv", "junit"]


@click.command("report")
@click.argument("run", type=PlaceType())
@click.option("--format", "forms", type=click.Choice(_FORMS), multiple=True, help="Only this one; may be repeated.")
@click.option("--quiet", "-q", is_flag=True, help="Write the files, print nothing.")
def command(run: Place, forms: tuple[str, ...], quiet: bool) -> None:
    """Write the reports of the run folder RUN again, and print its summary. Nothing is computed anew.

    \b
    Examples:
      vsil-audit report vsil-audit-runs/hades-0a1b2c3d4e
      vsil-audit report my-run --format junit --format csv
    """
    from rich.console import Console

    from vsil_audit.audit import Audit
    from vsil_audit.cli.reports import write_report
    from vsil_audit.reporting.console import summary_view

    audit = Audit.open(run)
    for form in forms or _FORMS:
        write_report(audit, form)
    if not quiet:
        Console().print(summary_view(audit.folder))
