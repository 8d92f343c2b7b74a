"""Harmless things and doings, as long as one needs them: what is drawn on the benign twin of a card, or pictured."""

from __future__ import annotations

import random


def _listed(names: str) -> tuple[str, ...]:
    return tuple(names.split(","))


_KINDS = _listed(
    "wooden,striped,spotted,yellow,green,little,large,round,folded,polished,painted,sunny,quiet,cheerful,woollen,"
    "knitted,enamel,porcelain,antique,portable"
)
_THINGS = _listed(
    "spoon,teapot,bookshelf,umbrella,lantern,picnic basket,garden bench,flower pot,bicycle bell,rain jacket,"
    "bird table,chess board,tea towel,music stand,kite,jigsaw puzzle,paper boat,watering can,desk lamp,bread basket,"
    "sun hat,walking boots,cushion,wall clock,wind chime,postcard,cookie jar,lemonade jug,train ticket,violin case"
)
_DOINGS = _listed(
    "baking oat bread,watering house plants,folding paper cranes,sorting old postcards,painting a garden fence,"
    "knitting a long scarf,feeding the ducks,sweeping autumn leaves,tuning a guitar,planting tulip bulbs,"
    "ironing a linen shirt,learning to juggle,flying a kite,polishing brass buttons,setting the table,"
    "drying fresh herbs,walking along the lake,framing a photograph,peeling ripe oranges,singing in a choir"
)


def benign_phrase(seed: int) -> str:
    """One thing or doing, decided by the seed."""
    draw = random.Random(seed)  # noqa: S311 - not for security
    return draw.choice(_DOINGS) if draw.random() < 0.5 else f"{draw.choice(_KINDS)} {draw.choice(_THINGS)}"


def benign_words(like: str, seed: int) -> str:
    """Harmless words of about the length of `like`, in characters; with as many commas, and capitals as there."""
    parts = [_near(len(part.strip()), seed + place) for place, part in enumerate(like.split(","))]
    told = ", ".join(parts)
    return told.upper() if like.isupper() else told.capitalize() if like[:1].isupper() else told


def _near(length: int, seed: int) -> str:
    """Of thirty phrases the one nearest in length; a long one is several with `and` between them."""
    drawn = [benign_phrase(seed * 31 + number) for number in range(30)]
    drawn += [phrase.rpartition(" ")[2] for phrase in drawn[:10]]
    joined = drawn[0]
    while len(joined) + 8 < length:
        rest = length - len(joined) - 5
        joined += " and " + min(drawn[1:], key=lambda phrase: abs(len(phrase) - rest))
    return min([*drawn, joined], key=lambda phrase: abs(len(phrase) - length))
