"""The command `vsil-audit`. Commands are imported when they are used, so that `--help` answers at once."""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from types import MappingProxyType

import click

from vsil_audit.errors import ExitCode, VsilAuditError

_COMMANDS = MappingProxyType(
    {
        "scan": "Scan a benchmark with every detector that is ready here.",
        "evaluate": "Evaluate models: refusal, warning and unsafe rates under each condition.",
        "leaderboard": "Rank evaluated models; compare alignment with text and with images.",
        "plan": "Show what a scan would ask of models, and what it would cost.",
        "convert": "Make a leak-free set of a leaking one.",
        "build": "Build a new leak-free set from a taxonomy, or from images.",
        "inspect": "Show what is there and how it would be read; nothing is scored.",
        "report": "Write the reports of a run folder again.",
        "compare": "Put two or more audits side by side.",
        "calibrate": "Check the judges of a run by people's labels, and correct its rates.",
        "review": "Review pairs by people, on a local page; how they agree, and how many labels are needed.",
        "classify": "Class model responses: refusal, warning or unsafe.",
        "doctor": "Tell which detectors can run here, and what enables the others.",
        "cache": "Show, export or clear kept answers of models, and embeddings.",
        "completion": "Print the shell completion script.",
    }
)


class _LazyGroup(click.Group):
    """Knows its commands' names and one-line helps; imports a command's module only to run it or show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"vsil_audit.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"vsil_audit.cli.{cmd_name}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 a --fail-on threshold was crossed, 2 usage or input error, 3 inconclusive, "
    "4 no provider usable, 70 a defect of vsil-audit, 130 interrupted (progress is kept).",
)
@click.version_option(package_name="vsil-audit", prog_name="vsil-audit")
def cli() -> None:
    """How much of a multimodal safety benchmark can be solved without looking at the image?

    \b
    vsil-audit inspect PATH      what is there, and how it would be read
    vsil-audit scan PATH         audit it; writes a run folder and a report
    vsil-audit evaluate PATH     what models do with it, under each condition
    vsil-audit compare RUN RUN   two audits side by side
    """


def main() -> None:
    """Entry point: expected errors become one clear message and an exit code."""
    _escape_what_the_terminal_lacks()
    gc.set_threshold(10_000)  # many small things and few cycles are made: looking for these took a tenth of a scan
    try:
        code = cli.main(standalone_mode=False)
    except VsilAuditError as error:
        _say(error.message, error.remedy)
        sys.exit(error.exit_code)
    except click.UsageError as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted. What was done is kept; the same command continues.", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _discard_output()
        sys.exit(ExitCode.OK)
    except (OSError, MemoryError) as error:  # a full disk under standard output, a device that went away
        _discard_output()
        if isinstance(error, MemoryError):
            _say("There is not enough memory.", "Scan a part with --limit, or lower --workers and --max-pixels.")
        else:
            what = error.filename or "the output"
            _say(f"{what}: {error.strerror or error}", "Free some space; what was done is kept.")
        sys.exit(ExitCode.USAGE)
    except Exception:  # noqa: BLE001 - whatever it is, it must not look like a crossed threshold to CI
        import traceback

        traceback.print_exc()
        click.echo("\nThis is a defect of vsil-audit; please report it with the lines above.", err=True)
        sys.exit(ExitCode.DEFECT)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _escape_what_the_terminal_lacks() -> None:
    """Any dataset may hold any character; a terminal or a pipe without it gets its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """What is still in the buffer cannot be written; without this Python would try again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str, remedy: str) -> None:
    from vsil_audit.reporting.untrusted import visible

    for title, colour, text in (("Error:", "red", message), ("What to do:", None, remedy)):
        if text:  # a carriage return in a file's name would overwrite the line
            shown = visible(text).replace("\r", "\N{SYMBOL FOR CARRIAGE RETURN}")
            click.echo(f"{click.style(title, fg=colour, bold=True)} {shown}", err=True)
