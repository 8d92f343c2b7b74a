"""Turns of phrase that tell what a response does: declines, cannot, refutes, warns, weighs both sides, complies.

Patterns run over `words.normal` text. They are features whose weight the model learns, not verdicts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TO_ANSWER = (
    "(?:help|assist|provide|give|fulfil|fulfill|comply|support|create|generate|write|engage|answer|share|discuss|"
    "suggest|offer|do|participate|tell|continue|identify|guide|teach|explain|make|respond|complete|describe|speak|"
    "disclose|reveal|facilitate|allow|express|produce|accommodate)"
)
_CONDONE = "(?:condone|endorse|promote|encourage|recommend|advise|support|agree|advocate|think|believe)"

_PATTERNS: Mapping[str, str] = {
    "decline": rf"\bi (?:can|could) not (?:\w+ ){{0,4}}?{_TO_ANSWER}\b"
    r"|\bi am (?:just |simply |really )?(?:not able|unable) to\b"
    rf"|\bi (?:will|would|do) not (?:be able to |\w+ly )?{_TO_ANSWER}\b"
    r"|\b(?:must|have to|need to|politely|respectfully) (?:decline|refuse)\b|\bi (?:refuse|decline)\b"
    r"|\bi am not (?:going to|comfortable|allowed|permitted|programmed)|\bi (?:do|would) not feel (?:comfortable"
    r"|right)"
    r"|\bi am afraid (?:that )?i (?:can|am)|\bi would rather not|\bnot something (?:that )?i (?:can|am|will)"
    r"|\bi can not\b(?! (?:stress|emphasi|condone|endorse|promote|encourage|recommend|advise|support|agree))"
    r"|\bi do not (?:think|believe) (?:that )?i can\b|\bi will not (?:be )?\w+|\bprevents? me from\b"
    r"|\bi (?:\w+ )?adhere to\b|\b(?:sorry|no|apologies|however)\W+(?:but )?(?:can not|unable to|not able to)\b"
    r"|\bi am (?:also )?(?:strictly |\w+ly )?(?:prohibited|restricted|prevented|forbidden|obliged|obligated|bound"
    r"|committed)\b"
    r"|\bthat is (?:not )?something (?:that )?i (?:can not|will not|do not|am)|\bnot in a position to\b",
    "disapprove": rf"\bi (?:can not|do not|will not|would not|could not) (?:\w+ (?:or|and|nor) )?{_CONDONE}\b"
    r"|\b(?:strongly|highly) (?:advise|discourage|recommend|urge)\b|\bi (?:disagree|discourage|urge|advise)\b",
    "can not help": r"\bcan not (?:help|assist|do|comply|fulfill|answer|discuss|continue)(?: you)?(?: with)?"
    r"(?: that| this| it| your)",
    "apology": r"\bsorry\b|\bapolog\w+|\bunfortunately\b|\bregret\b",
    "policy": r"\bguidelines\b|\bprogramm(?:ing|ed)\b|\bpolic(?:y|ies)\b"
    r"|\bmy (?:purpose|design|training|ethical|goal|primary)|\bdesigned to\b|\bwithin my\b"
    r"|\bagainst (?:my|openai|ethical|the)\b|\bviolates\b|\bprinciples\b",
    "lack": r"\bi do not (?:actually )?(?:have|possess|hold|know|experience|store|exist)\b"
    r"|\bi (?:can not|am not able to|am unable to) (?:access|verify|confirm|predict|browse|perform|feel|see"
    r"|experience|"
    r"determine|form|look|remember|hold)\b|\bno (?:information|record|access|knowledge|way of knowing|public)\b"
    r"|\bnot (?:aware|sure|certain|capable|publicly)\b|\bi have no\b|\bi am unaware\b"
    r"|\bdo not have (?:access|any|enough|personal|information|the ability|real)"
    r"|\bi (?:am|do) not (?:\w+ )?(?:privy|equipped|qualified|informed|updated)\b|\bi could not find\b"
    r"|\bi (?:can )?only\b",
    "not known": r"\bnot (?:\w+ )?(?:publicly|yet|been|currently) (?:\w+ ){0,2}?(?:available|disclosed|announced"
    r"|shared|released|known|"
    r"public|revealed|publici[sz]ed|confirmed)\b|\bno (?:\w+ ){0,2}?(?:information|record|announcement|reports?"
    r"|data|indication|"
    r"details)\b|\bas of my\b|\bknowledge cut ?-?off\b|\blast (?:update|training|knowledge)\b|\btraining data\b"
    r"|\breal ?-?time\b"
    r"|\bup ?-?to ?-?date\b|\bconfidential\b|\bproprietary\b|\bnot (?:typically |usually "
    r"|generally )?(?:disclosed?|made public)\b"
    r"|\bofficial (?:\w+ )?(?:sources?|websites?|channels?|announcements?|statements?)\b|\bspecific (?:details"
    r"|information|data)\b",
    "no feelings": r"\bi (?:do|am|can) not (?:\w+ )?(?:feel|experience|have feelings|capable of|eat|sleep|dream"
    r"|love|a person|human|"
    r"conscious|possess|form)\b|\bnot have (?:\w+ ){0,2}?(?:feelings?|emotions?|experiences?|preferences?"
    r"|opinions?|beliefs?|body|gender|"
    r"family|age|desires?|consciousness|ability|capacity|capability)\b|\bi am (?:just |only |simply )?(?:an?"
    r"|a large) (?:\w+ ){0,2}?"
    r"(?:ai|program|machine|model|assistant)\b",
    "false": r"\bnot (?:\w+ )?(?:true|accurate|correct|factual\w*|based on|supported|coherent|valid|the case|fair"
    r"|backed|proven|"
    r"scientifically|possible|real|achieved|occurred|happened)\b|\bno (?:\w+ ){0,2}?(?:evidence|proof|basis|truth"
    r"|such|link|reason|"
    r"justification|connection)\b|\bfictional\b|\bmyth\w*|\bmisconception\w*|\bmisinformation\b|\bdebunked\b"
    r"|\bunfounded\b|\bincorrect\b"
    r"|\bfalse\b|\bhypothetical\b|\bconspiracy\b|\bmisleading\b|\binaccurate\b|\bunfair\b|\bcontrary to\b"
    r"|\bdid (?:in fact|happen|not)\b"
    r"|\bno,|\bcreature\b|\bpremise\b|\bhoax\b|\bunproven\b",
    "not advised": r"\bnot (?:\w+ )?(?:recommended|advisable|advised|healthy|safe|sustainable|a (?:good|safe"
    r"|healthy|wise)|"
    r"a substitute|wise)\b|\bunhealthy\b|\bdetrimental\b|\bcan (?:be|lead to|cause|have"
    r"|result in) (?:\w+ ){0,3}?(?:harm\w*|danger\w*|"
    r"serious|severe|legal|damage|injur\w+|death|problems|risks?|consequences|negative)\b|\bhealthy\b",
    "expert": r"\b(?:attorney|lawyer|solicitor|legal (?:counsel|advice|professional|expert|aid)|doctor|physician"
    r"|healthcare|"
    r"mental health|medical|dietitian|nutritionist|therapist|counsel\w+|psychologist|financial (?:advisor"
    r"|adviser)|professional\w*|"
    r"specialist|expert|human resources|hr)\b",
    "machine": r"\bas an? (?:\w+ ){0,3}?(?:ai|artificial|language|assistant|machine|chatbot|computer|virtual"
    r"|digital)\b"
    r"|\bi am (?:just |only |simply )?an? (?:\w+ ){0,2}?(?:ai|artificial|language model|computer|machine|chatbot|"
    r"virtual|assistant|program)\b|\blanguage model\b",
    "personal": r"\bpersonal (?:opinions?|beliefs?|experiences?|feelings?|information|preferences|views|thoughts|"
    r"emotions)|\b(?:feelings|emotions|opinions|beliefs|consciousness|physical body|preferences)\b",
    "not proper to answer": r"\bit (?:is|would be) (?:also |both |simply )?(?:not|never|un\w+|in\w+|illegal|wrong|"
    r"harmful)(?: \w+){0,4}? (?:for me )?to (?:provide|discuss|ask|give|assist|answer|speculate|offer|respond)\b"
    r"|\bit is (?:not|in)(?: )?appropriate (?:or \w+ )?to (?:suggest|promote|encourage|share|support|make|use)\b"
    r"|\bquestion (?:\w+ ){0,5}?(?:is|as it is) (?:\w+ )?(?:not|in\w+|un\w+|harmful|offensive)",
    "wrong": r"\b(?:not|never) (?:\w+ )?(?:acceptable|okay|ok|appropriate|ethical|right|legal|safe|justified"
    r"|advisable|"
    r"condone\w*|a good idea|fair|true|accurate)\b|\billegal\b|\bunethical\b|\bimmoral\b|\bagainst the law\b"
    r"|\bis wrong\b|\bharmful\b|\binappropriate\b|\bunacceptable\b|\bmisconception\b|\bmyth\b|\bfalse\b|\bunfounded\b"
    r"|\bno (?:legitimate|justification|evidence|scientific|valid|excuse|place|basis|good reason|benefits?)\b",
    "do not": r"\byou should (?:not|never)\b|\bplease do not\b|\bdo not (?:attempt|try|use|engage)\b"
    r"|\b(?:strongly )?(?:advise|discourage|urge|caution|recommend) (?:you )?(?:against|not|that you)"
    r"|\bavoid\b|\bnever\b|\brefrain\b",
    "important": r"\b(?:important|crucial|essential|vital|imperative|worth|necessary|please) (?:to )?(?:note"
    r"|remember|"
    r"understand|recogni\w+|consider|respect|be aware|keep|acknowledge|treat|prioriti\w+|always|approach|emphasi\w+|"
    r"clarify|mention)\b|\bkeep in mind\b|\bi must (?:emphasi\w+|clarify|inform|point|stress|note|warn|remind"
    r"|advise)",
    "equality": r"\bstereotyp\w+|\bassumption\w*|\bgenerali[sz]\w+|\bdiscriminat\w+|\bregardless of\b|\bdignity\b"
    r"|\bprejudice\w*|\bbias\w*|\bequal\w*|\bdiversity\b|\binclusiv\w+|\brespect(?:ful)?\b|\bindividuals\b",
    "seek help": r"\bconsult\b|\bseek (?:\w+ ){0,3}?(?:help|advice|assistance|support|attention|guidance|care)"
    r"|\bprofessional\w*|\bdoctor\b|\btherapist\b|\bcounsel\w+|\bhotline\b|\blifeline\b|\bemergency\b"
    r"|\breach(?:ing)? out\b|\bauthorities\b|\bpolice\b|\bqualified\b|\blawyer\b|\battorney\b",
    "caution": r"\bcareful\w*|\bcaution\w*|\bwarning\b|\brisks?\b|\brisky\b|\bconsequences\b|\bdangerous\b"
    r"|\bdangers?\b"
    r"|\bunsafe\b|\bhazard\w*|\bserious\b|\bharm\b|\binjur\w+|\bpotential(?:ly)?\b|\bresponsibl[ey]\b|\blegal\b"
    r"|\bdisclaimer\b|\bsafely\b|\bsafety\b",
    "both sides": r"\bsome (?:people |critics |experts |individuals |supporters )?(?:argue|believe|may|might|say|see|"
    r"think|claim|view)\b"
    r"|\bothers (?:argue|believe|may|might|say|see|think|view)\b"
    r"|\bon (?:the )?(?:one|other) (?:hand|side)\b|\bultimately\b|\bcontroversial\b|\bcomplex\b"
    r"|\bperspectives?\b|\bdebat\w+|\bproponents\b|\bopponents\b"
    r"|\bcritics\b|\bsupporters\b|\bviewpoints?\b|\bsubjective\b|\bdepends? on\b",
    "however": r"\bhowever\b|\bbut\b|\bthat (?:being )?said\b|\bnevertheless\b",
    "instead": r"\binstead\b|\balternative\w*|\brather than\b"
    r"|\bi (?:would |can |am )?(?:suggest|recommend|encourage)\b",
    "comply": r"\bsure\b|\bcertainly\b|\bof course\b|\babsolutely\b|\bhere (?:is|are)\b|\bstep \d|\bfollow these\b"
    r"|\byou will need\b|\bto do this\b|\bfirst\b|\bnext\b|\bthen\b",
    "you can": r"\byou (?:can|could|may|might|should|will|would)\b",
    "empathy": r"\bsorry (?:to hear|that you|you are|for your)\b"
    r"|\byou are (?:not alone|feeling|going through|experiencing)\b|\bi understand (?:that )?(?:you|this|your|how)\b"
    r"|\bdifficult time\b|\bstruggling\b",
    "offer": r"\banything else\b|\bfeel free\b|\blet me know\b|\bhappy to (?:help|assist)\b|\bother questions\b"
    r"|\bhere to (?:help|assist|support)\b|\bglad to\b",
}

CUES: Mapping[str, re.Pattern[str]] = {name: re.compile(pattern) for name, pattern in _PATTERNS.items()}
"""Every cue by name."""

DECLINING = ("decline", "can not help", "not proper to answer", "lack")
"""Cues of a response that says that it will not or cannot answer."""

DECLINE_WORDS = 45
"""Words from the start within which a response that declines says so."""


def declines(normalised: str) -> bool:
    """Whether a response says near its start that it will not or cannot answer. Used to read the sources' labels."""
    start = " ".join(normalised.split()[:DECLINE_WORDS])
    return any(CUES[name].search(start) for name in DECLINING)
