"""vsil-audit review"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.sections import OptionIn, SectionedCommand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsil_audit.review.criteria import Criterion
    from vsil_audit.review.labels import Item, LabelStore
    from vsil_audit.review.material import Material

_pairs = partial(click.option, cls=OptionIn, section="Pairs")
_labels = partial(click.option, cls=OptionIn, section="Labels")
_page = partial(click.option, cls=OptionIn, section="Page")
_FORMS = ["csv", "calibrate", "argilla", "label-studio"]


@click.command("review", cls=SectionedCommand)
@click.argument("path", type=click.Path(path_type=Path))
@_pairs("--sample", type=click.IntRange(min=1), metavar="N", help="N pairs at random; a larger N later adds to them.")
@_pairs(
    "--only",
    type=click.Choice(["suspected", "leaking", "disagreement", "contested"]),
    help="Those that the run found so; on which its judges differ; on which annotators differ.",
)
@_pairs(
    "--draw",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The pairs in this table: column id, and stratum and weight where it has them.",
)
@_pairs("--seed", type=int, default=0, show_default=True, help="Of the sample, and of each annotator's order.")
@_page("--annotator", "annotators", multiple=True, metavar="NAME", help="Who reviews; may be repeated. Default: ask.")
@_page("--criteria", metavar="A,B", help="What is asked: text_harmful, text_fits_image, pair_harmful, leak.")
@_page("--port", type=click.IntRange(0, 65535), default=0, help="Default: any that is free.")
@_labels("--store", type=click.Path(dir_okay=False, path_type=Path), help="Where labels are kept (SQLite).")
@_labels("--export", "exported", type=(click.Choice(_FORMS), click.Path(path_type=Path)), metavar="FORM FILE",
         help=f"Write the labels: {', '.join(_FORMS)}.")  # fmt: skip
@_labels("--import", "imported", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
         help="Take over the labels of an exported CSV.")  # fmt: skip
@_labels("--agreement", is_flag=True, help="How far annotators agree, and where they differ.")
@_labels("--plan", "planned", is_flag=True, help="How many labels a precision needs.")
@_labels("--precision", type=float, default=0.05, show_default=True, help="Half of the 95 % interval, for --plan.")
@reading_options
def command(
    path: Path,
    sample: int | None,
    only: str | None,
    draw: Path | None,
    seed: int,
    annotators: tuple[str, ...],
    criteria: str | None,
    port: int,
    store: Path | None,
    exported: tuple[str, Path] | None,
    imported: Path | None,
    agreement: bool,
    planned: bool,
    precision: float,
    **reading: Any,
) -> None:
    """Review the pairs of PATH, a run folder or a dataset, on a page that this machine alone can open.

    Each annotator has an order of their own and sees nobody else's labels. Images are blurred until asked for, every
    label is kept at once, and the same command goes on where it stopped. Labels flow into `vsil-audit calibrate`.

    \b
    Examples:
      vsil-audit review my-run --sample 150 --annotator ann --annotator bo
      vsil-audit review my-run --agreement
      vsil-audit review my-run --export calibrate labels.csv
      vsil-audit review my-run --plan --precision 0.05
    """
    from vsil_audit.errors import ConfigurationError
    from vsil_audit.review.choosing import Only, Wanted, choose
    from vsil_audit.review.labels import FILE, LabelStore

    asks = sum((exported is not None, imported is not None, agreement, planned))
    wanted = Wanted(sample, Only(only) if only else None, draw, seed)
    if asks > 1 or (asks and (wanted != Wanted(seed=seed) or annotators)):
        raise ConfigurationError(
            "--export, --import, --agreement and --plan are each asked alone, of all the labels there are",
            "Leave the others out.",
        )
    material = _material(path, reading)
    if not material.places:
        raise ConfigurationError(f"{path} holds no pair to review", "Look at it with `vsil-audit inspect`.")
    place = material.folder.path
    if store is None and not isinstance(place, Path):
        raise ConfigurationError("labels are kept in a file on this machine", "Name one with --store.")
    with LabelStore(store or Path(str(place)) / FILE, material.name) as labels:
        _say_changed(labels, material)
        if exported is not None:
            _export(exported[0], exported[1], labels, material)
        elif imported is not None:
            _import(imported, labels, material)
        elif agreement:
            _agreement(labels, material)
        elif planned:
            _plan(precision, _criteria(criteria, material), labels, material)
        else:
            items = choose(wanted, material, labels)
            _serve(items, annotators, _criteria(criteria, material), seed, port, labels, material)


def _material(path: Path, reading: dict[str, Any]) -> Material:
    from rich.console import Console

    from vsil_audit.cli.progress import progress_on
    from vsil_audit.errors import ConfigurationError
    from vsil_audit.review.material import is_run, of_dataset, of_run
    from vsil_audit.sources.base import SourceOptions

    options = source_options(reading)
    if is_run(path):
        if options != SourceOptions():
            raise ConfigurationError(f"{path} is a run folder; how it was read is settled", "Leave out those options.")
        return of_run(path)
    with progress_on(Console(stderr=True), quiet=False) as progress:
        return of_dataset(path.expanduser(), options, progress)


def _criteria(named: str | None, material: Material) -> tuple[Criterion, ...]:
    """Those of the paper unless others are named; where a judge was asked whether texts leak, people are too."""
    from vsil_audit.review.criteria import LEAK, OF_THE_PAPER, criteria_named
    from vsil_audit.runs.asked.columns import LLM_JUDGE

    if named is not None:
        return criteria_named(named.split(","))
    return (*OF_THE_PAPER, LEAK) if material.scanned and LLM_JUDGE in material.folder.detectors() else OF_THE_PAPER


def _say_changed(labels: LabelStore, material: Material) -> None:
    """Raises ConfigurationError where the labels seem to be of other data."""
    from vsil_audit.errors import ConfigurationError
    from vsil_audit.reporting.untrusted import one_line
    from vsil_audit.wording import plural

    items = labels.items()
    gone = [item for item in items if item.pair_id not in material.places]
    contents = material.contents([item.pair_id for item in items])
    changed = sum(contents[i.pair_id] != i.chosen.content for i in items if i.pair_id in contents)
    if 2 * (len(gone) + changed) > len(items):
        raise ConfigurationError(
            f"{labels.path} holds labels of other data ({one_line(labels.dataset)}): of {plural(len(items), 'pair')} "
            f"{len(gone):,} are not here, and {changed:,} are others under the same id",
            "Name another file with --store.",
        )
    if gone:
        click.echo(
            f"{plural(len(gone), 'labelled pair')} of before are not in this data; they are left alone.", err=True
        )
    if changed:
        labels.withdraw_changed(contents)
        click.echo(
            f"{plural(changed, 'pair')} have changed; their labels no longer hold, and are asked again.", err=True
        )


def _serve(
    items: Sequence[Item],
    annotators: tuple[str, ...],
    criteria: tuple[Criterion, ...],
    seed: int,
    port: int,
    labels: LabelStore,
    material: Material,
) -> None:
    from vsil_audit.reporting.untrusted import one_line
    from vsil_audit.review.desk import Desk, Invited
    from vsil_audit.review.pictures import Pictures
    from vsil_audit.review.server import serve
    from vsil_audit.wording import plural

    unseen = material.show_only([item.pair_id for item in items])
    if unseen:
        click.echo(f"{plural(unseen, 'image')} inside the dataset's tables can no longer be read.", err=True)
    desk = Desk(material, labels, items, criteria, seed, Invited(annotators))

    def ready(url: str) -> None:
        asked = f"{plural(len(items), 'pair')} to review, {plural(len(criteria), 'question')} each"
        click.echo(f"{one_line(material.name)}: {asked}.")
        click.echo(f"Open {url}")
        click.echo("The link is the key; it works on this machine and until this command ends (Ctrl-C).")
        click.echo(f"Labels are kept in {labels.path}")

    serve(desk, Pictures(material), ready, port)


def _export(form: str, target: Path, labels: LabelStore, material: Material) -> None:
    from vsil_audit.review.exporting import Form, export
    from vsil_audit.review.sheets import Sheets
    from vsil_audit.wording import plural

    files, count = export(Form(form), target, Sheets.of(labels, material), material)
    click.echo(f"{plural(count, 'label')} in {', '.join(map(str, files))}")
    if form == Form.CALIBRATE.value and material.scanned:
        click.echo(f"Go on: vsil-audit calibrate {material.folder.path} --labels {target}")


def _import(file: Path, labels: LabelStore, material: Material) -> None:
    from rich.console import Console

    from vsil_audit.review.importing import import_labels
    from vsil_audit.review.views import import_view

    Console().print(import_view(import_labels(file, labels, material)))


def _agreement(labels: LabelStore, material: Material) -> None:
    from rich.console import Console

    from vsil_audit.review.agreement import agreement
    from vsil_audit.review.sheets import Sheets
    from vsil_audit.review.views import agreement_view

    Console().print(agreement_view(agreement(Sheets.of(labels, material), material)))


def _plan(precision: float, criteria: tuple[Criterion, ...], labels: LabelStore, material: Material) -> None:
    from rich.console import Console

    from vsil_audit.errors import ConfigurationError
    from vsil_audit.review.sampling_plan import sampling_plan
    from vsil_audit.review.sheets import Sheets
    from vsil_audit.review.views import plan_view

    if not 0 < precision < 0.5:
        raise ConfigurationError(f"--precision {precision:g} is no half of an interval", "Give one between 0 and 0.5.")
    Console().print(plan_view(sampling_plan(precision, criteria, Sheets.of(labels, material), material)))
