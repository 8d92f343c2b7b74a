"""vsil-audit cache"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vsil_audit.gateway.cache import AnswerCache

_PATH = click.option(
    "--path", type=click.Path(path_type=Path, dir_okay=False), help="Another cache than the usual one."
)
_MODEL = click.option("--model", metavar="PROVIDER/MODEL", help="Only the answers of this model.")


@click.group("cache")
def command() -> None:
    """Show, export or clear what is kept: models' answers, so that no call is paid for twice, and embeddings.

    \b
    Examples:
      vsil-audit cache info
      vsil-audit cache export --model openai/gpt-4o-mini > answers.jsonl
      vsil-audit cache clear --older-than 90
      vsil-audit cache clear --embeddings
    """


@command.command("info")
@_PATH
def info(path: Path | None) -> None:
    """What is kept, and where."""
    _answers_info(path)
    if path is None:
        _embeddings_info()


def _answers_info(path: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from vsil_audit.reporting.untrusted import one_line

    cache = _open(path)
    if cache is None:
        return
    console = Console()
    shares = cache.shares()
    count = sum(share.answers for share in shares)
    console.print(
        f"{count:,} answers, {cache.size_bytes / 1e6:,.1f} MB, in {cache.path}", highlight=False, markup=False
    )
    table = Table("model", "answers", "oldest", "newest", box=None, pad_edge=False)
    for share in shares:
        model = one_line(f"{share.provider}/{share.model}")
        table.add_row(model, f"{share.answers:,}", _day(share.oldest), _day(share.newest))
    if shares:
        console.print(table)
    cache.close()


def _embeddings_info() -> None:
    from rich.console import Console
    from rich.table import Table

    from vsil_audit.features.embeddings.store import EmbeddingStore
    from vsil_audit.reporting.untrusted import one_line

    store = EmbeddingStore()
    spaces = store.kept()
    if not spaces:
        return
    console = Console()
    count = sum(space.rows for space in spaces)
    console.print(
        f"\n{count:,} embeddings, {store.size_bytes / 1e6:,.1f} MB, in {store.folder}", highlight=False, markup=False
    )
    table = Table("made by", "embeddings", "newest", box=None, pad_edge=False)
    for space in spaces:
        table.add_row(one_line(space.name), f"{space.rows:,}", _day(space.newest))
    console.print(table)


def _day(time: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(time).astimezone().date().isoformat()


@command.command("export")
@_PATH
@_MODEL
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file; else standard output.")
def export(path: Path | None, model: str | None, output: Path | None) -> None:
    """Write the answers as JSON Lines: what was asked of which model, and the response as it was received."""
    cache = _open(path)
    if cache is None:
        return
    count = 0
    with output.open("w", encoding="utf-8") if output else click.open_file("-", "w", encoding="utf-8") as target:
        for kept in cache.entries(model):
            target.write(kept.to_json() + "\n")
            count += 1
    click.echo(f"{count:,} answers exported.", err=True)
    cache.close()


@command.command("clear")
@_PATH
@_MODEL
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Only answers older than this.")
@click.option(
    "--embeddings", is_flag=True, help="Not answers, but all embeddings: they are computed again when needed."
)
@click.option("--yes", "-y", is_flag=True, help="Don't ask.")
def clear(path: Path | None, model: str | None, older_than: float | None, embeddings: bool, yes: bool) -> None:
    """Forget answers: asking again will cost again."""
    import time

    if embeddings:
        if path is not None or model is not None or older_than is not None:
            raise click.UsageError("--embeddings forgets them all; it goes with no other option but --yes.")
        _clear_embeddings(yes=yes)
        return
    cache = _open(path)
    if cache is None:
        return
    before = None if older_than is None else time.time() - older_than * 86_400
    count = cache.count(model, before)
    if count and not yes:
        _confirm(f"Forget {count:,} answers? Asking again will cost again.")
    click.echo(f"{cache.clear(model, before):,} answers forgotten.")
    cache.close()


def _clear_embeddings(*, yes: bool) -> None:
    from vsil_audit.errors import ConfigurationError
    from vsil_audit.features.embeddings.store import EmbeddingStore

    store = EmbeddingStore()
    count = sum(space.rows for space in store.kept())
    if count and not yes:
        _confirm(f"Forget {count:,} embeddings? They are computed again when they are needed.")
    try:
        click.echo(f"{store.clear():,} embeddings forgotten.")
    except OSError as error:
        raise ConfigurationError(f"not all could be removed: {error}", f"Remove {store.folder} yourself.") from error


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("There is nobody to ask; say --yes to clear without asking.")
    click.confirm(question, abort=True)


def _open(path: Path | None) -> AnswerCache | None:
    """The cache, or None when there is none yet: looking must not make one."""
    from vsil_audit.errors import ConfigurationError
    from vsil_audit.gateway.cache import AnswerCache, default_cache_path

    where = path or default_cache_path()
    if not where.exists():
        if path is not None:
            raise ConfigurationError(f"There is no cache at {path}.", "Check the path.")
        click.echo(f"No answer is kept yet ({where}).", err=True)
        return None
    cache = AnswerCache(where, repair=False)
    if not cache.persistent:
        raise ConfigurationError(" ".join(cache.warnings), "Give the path of an answer cache.")
    return cache
