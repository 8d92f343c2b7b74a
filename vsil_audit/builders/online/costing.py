"""About what a build with models costs, before anything is asked.

What cannot be foreseen is how many pairs leak, how many candidates gates stop, and how many rounds an image takes: it
is reckoned as if every pair leaked, the second candidate of three passed, and every image took two rounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vsil_audit.builders.gates.pair_unsafe import PROMPT as PAIR
from vsil_audit.builders.online.content import PROMPT as CONTENT
from vsil_audit.builders.online.detoxify import PROMPT as DETOXIFY
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.online.picture import CHECK
from vsil_audit.builders.online.picture import PROMPT as IMAGE_PROMPT
from vsil_audit.builders.online.scenarios import CATEGORISE, FROM_IMAGE, FROM_TEXT
from vsil_audit.detectors.safety_judge.verdict import PAIR_PROMPT, TEXT_PROMPT
from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.gateway.meter import Meter
from vsil_audit.gateway.opening import open_provider
from vsil_audit.gateway.prices import FREE, PriceTable
from vsil_audit.prompts import prompt
from vsil_audit.runs.cost_plan import CostPlan, ModelCost
from vsil_audit.wording import plural

_CHARACTERS_A_TOKEN = 4
_TOKENS_AN_IMAGE = 1_000
_TOKENS_OF_A_PAIR = 120
_ANSWER = 120
_MOST_ANSWER = 1_024
_SCANS = 2
_ROUNDS = 2
IMAGES = "images"
NOTE = (
    "An estimate: as if every pair leaked, the second of three candidates passed, and every image took two rounds. The "
    "benign control and canaries of the scans come on top."
)


def expected_cost(options: OnlineOptions, pairs: int, scenes: int = 0, images: int = 0) -> CostPlan:
    """Calls, tokens and images by model and question. `scenes`, `images`: questions for scenes, of a text and of an
    image. Raises what `OnlineOptions.open_generator` raises."""
    plan = CostPlan(subjects={"set": pairs}, concurrency=options.scan.gateway.limits.max_concurrency, notes=[NOTE])
    prices = options.scan.gateway.price_table()
    calls: Counter[tuple[str, str, bool]] = Counter()
    for what in _asked(options):
        calls[what] += pairs
    calls[options.editor, FROM_TEXT, False] += scenes
    calls[options.eyes, FROM_IMAGE, True] += images
    calls[options.eyes, CATEGORISE, False] += images
    for (model, template, with_image), count in (+calls).items():
        try:
            provider = open_provider(model, options.scan.gateway.for_model(model)["base_url"])
            price = prices.price(provider.name, provider.model) or (None if provider.billed else FREE)
        except (ConfigurationError, MissingDependencyError) as error:
            plan.notes.append(error.message)
            price = None
        tokens = len(prompt(template).text) / _CHARACTERS_A_TOKEN + _TOKENS_OF_A_PAIR + with_image * _TOKENS_AN_IMAGE
        row = ModelCost(template, model, price, calls=count)
        row.input_tokens, row.output_tokens = count * tokens, count * _ANSWER
        row.most_output_tokens = count * _MOST_ANSWER
        plan.rows.append(row)
    _add_images(plan, options, prices, pairs)
    return plan


def _add_images(plan: CostPlan, options: OnlineOptions, prices: PriceTable, pairs: int) -> None:
    """What the image generator makes, and what is known of its price."""
    meter = Meter(prices=prices)
    generator = options.open_generator(meter)
    if generator is None or not pairs:
        return
    name = generator.identity.partition(";")[0]
    count, most = min(_ROUNDS, options.rounds) * pairs, options.rounds * pairs
    account = next(iter(meter.spends()), None)
    price = FREE if not generator.paid else account.price if account is not None else None
    row = ModelCost(IMAGES, name, price, calls=count, learnt=count, images=count, most_images=most)
    row.input_tokens = count * _TOKENS_OF_A_PAIR if generator.paid else 0
    plan.rows.append(row)
    told = f"{name}: about {plural(count, 'image')}, at most {most:,} ({plural(options.rounds, 'round')} for each pair)"
    cost = "unpriced" if price is None else f"{price.image:g} US dollars each" if generator.paid else "at no cost"
    plan.notes.append(f"{told}, {cost}.")


def _asked(options: OnlineOptions) -> Iterator[tuple[str, str, bool]]:
    """For each pair: model, template, and whether an image goes with it."""
    editor, eyes = options.editor, options.eyes
    makes_images = options.makes_images
    for judge in options.judges:
        yield judge, TEXT_PROMPT, False
        yield from [(judge, PAIR_PROMPT, True)] * (2 * _SCANS)
    yield eyes, CONTENT, True
    yield editor, DETOXIFY, False
    for judge in options.panel:
        yield from [(judge, TEXT_PROMPT, False)] * 2
    yield from [(eyes, PAIR, not makes_images)] * 3  # gates B and C
    if makes_images:
        yield editor, IMAGE_PROMPT, False
        yield from [(eyes, CHECK, True)] * min(_ROUNDS, options.rounds)
        yield from [(eyes, PAIR, True)] * 2
