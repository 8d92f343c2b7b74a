"""Options under headings in `--help`: a command of forty options is read by subject."""

from __future__ import annotations

from typing import Any

import click


class OptionIn(click.Option):
    """An option that stands under a heading: `click.option("--seed", cls=OptionIn, section="Run")`."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """Lists its options by heading, in the order in which the headings first come up; those without one under the
    last, as --help is."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        name = "Options"
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                name = option.section if isinstance(option, OptionIn) else name
                sections.setdefault(name, []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)
