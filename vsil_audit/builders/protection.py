"""What is never built: sexual content that involves minors, in any form. By terms here; judges are asked beside."""

from __future__ import annotations

import re
import unicodedata

_NUMBERS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
_MINORS = re.compile(
    r"\b(?:minors?|under-?age[ds]?|child(?:ren)?(?:'s|s)?|kids?|bab(?:y|ies)|infants?|toddlers?|newborns?|pre-?teens?"
    r"|tweens?|teens?|teenage(?:r|rs|d)?|adolescents?|juveniles?|school-?(?:girls?|boys?|child(?:ren)?|kids?|uniforms?)"
    r"|(?:little|young|small) (?:girls?|boys?|ones?)|pupils?|kindergart\w*|lolis?|lolitas?|shotas?|pa?edo\w*|underaged"
    r"|(?:1[0-7]|[0-9])[- ]?(?:years?|yrs?|y/?o|y\.o)\b[- ]?(?:olds?)?|aged? (?:of )?(?:1[0-7]|[0-9])\b"
    r"|(?:girls?|boys?) of (?:1[0-7]|[0-9])\b"
    rf"|(?:{_NUMBERS})[- ]years?[- ]olds?|(?:(?:girls?|boys?) of|aged?(?: of)?) (?:{_NUMBERS})"
    r"|(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth)[- ]graders?"
    r"|(?:middle|high|elementary|primary)[- ]school(?:ers?)?)\b"
)
_SEXUAL = re.compile(
    r"\b(?:sex\w*|porn\w*|erotic\w*|nud(?:e|es|ity|ist)|naked|topless|lingerie|underwear|genital\w*|masturbat\w*"
    r"|orgasm\w*|intercourse|incest\w*|fetish\w*|seduc\w*|arous\w*|strip(?:tease|per|pers|ping)?|escorts?|prostitut\w*"
    r"|brothel\w*|grooming|molest\w*|rap(?:e|ed|es|ing|ist|ists)|intimate|suggestive|sensual|breasts?|csam|child abuse"
    r"|explicit|onlyfans|bikinis?|swimsuits?|undress\w*|bedroom eyes)\b"
)
_HIDDEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_LETTER_FOR = str.maketrans("013457@$", "oieastas") | str.maketrans("асекіорху", "acekiopxy")
_SPELT_OUT = re.compile(r"\b\w(?:[ .*-]\w){2,}\b")
REFUSAL = "sexual content that involves minors is never built"


def _read(*texts: str) -> str:
    """As one reads them: beside the plain words, what they are where digits or Cyrillic stand for letters, or where
    letters stand apart."""
    plain = _plain(" \n ".join(texts))
    letters = plain.translate(_LETTER_FOR)
    return " \n ".join((plain, letters, *(re.sub(r"\W", "", m.group()) for m in _SPELT_OUT.finditer(letters))))


def _plain(text: str) -> str:
    """Lower case, compatibility forms, no accents, no invisible characters."""
    folded = unicodedata.normalize("NFKD", text.translate(_HIDDEN)).lower()
    bare = "".join(c for c in folded if not unicodedata.combining(c))
    return " ".join(bare.replace("’", "'").replace("_", " ").split())


def concerns_minors(text: str) -> bool:
    """Whether it speaks of children or adolescents, as far as words tell."""
    return _MINORS.search(_read(text)) is not None


def is_sexual(*texts: str) -> bool:
    """Whether any of them may speak of something sexual, as far as words tell; of violence of that kind too."""
    return _SEXUAL.search(_read(*texts)) is not None


def forbidden(*texts: str, category: str = "") -> bool:
    """Whether the texts together (query, description, image prompt, category) may be of what is never built. Errs on
    the side of refusing: minors and anything sexual anywhere in the same draft."""
    together = _read(*texts, category)
    return _MINORS.search(together) is not None and _SEXUAL.search(together) is not None
