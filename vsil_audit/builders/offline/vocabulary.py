"""Closed classes of English words, and endings, by which a phrase's slot, number and kind are told."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("a an the this that these those")
POSSESSIVES = _words("my your his her its our their whose")
PLURAL_QUANTIFIERS = _words("some any many several few all both most more no other various different certain multiple")
SINGULAR_QUANTIFIERS = _words("each every another one either neither")
PREPOSITIONS = _words(
    "of for in on at by with from to into onto about over under through during between among against without "
    "within toward towards across behind beyond near after before around as like via per upon regarding "
    "concerning"
)
PRONOUNS = _words(
    "i you he she it we they me him us them who whom which what someone somebody anyone anybody everyone "
    "everybody others people one oneself myself yourself himself herself itself ourselves themselves each"
)
BE = _words("is are was were be been being am i'm you're we're they're he's she's it's")
MODALS = _words(
    "can could will would shall should may might must cannot can't couldn't won't wouldn't shouldn't do does "
    "did don't doesn't didn't let's please"
)
INVERTING = _words("can could will would shall should may might must do does did")
QUESTION_WORDS = _words("how why where when what which who whom whose")
CONJUNCTIONS = _words(
    "and or but nor so yet if when while because although though unless until since whether than that"
)
ADVERBS_BETWEEN = _words("not never always also then just even still actually easily better best")
FUNCTION_WORDS = (
    ARTICLES
    | POSSESSIVES
    | PREPOSITIONS
    | PRONOUNS
    | BE
    | MODALS
    | CONJUNCTIONS
    | ADVERBS_BETWEEN
    | _words(
        "how why where when there here not too very without has have had is are was were using used such "
        "online tonight today tomorrow yesterday now soon later everywhere somewhere anywhere abroad together "
        "alone again ago instead first next overnight forever nearby indoors outdoors upstairs downstairs afterwards "
        "beforehand"
    )
)
PARTICLES = _words("down off up out away back")
DETERMINERS = ARTICLES | POSSESSIVES | PLURAL_QUANTIFIERS | SINGULAR_QUANTIFIERS
BETWEEN_PARTS = (
    ARTICLES | POSSESSIVES | PARTICLES | _words("of for in on to by with and or at from s as into someone somebody")
)
"""May stand between two leaked words of one phrase."""

VERB_BEFORE = MODALS | _words("i you we they people who")
"""After one of these comes a verb."""

NAMED_PEOPLE = _words("people others")
"""Small words that an image may be about."""

LETTING = _words("help let make have helps lets makes helping letting making")
OBJECTS_THAT_ACT = _words("me us him her them you someone people it")
"""`help me` is followed by a verb, `tell me` is not."""

SINGULAR_SUBJECTS = _words("that which who it he she but")
SOMEBODY = _words("someone somebody anyone anybody everyone everybody nobody")
BEFORE_A_SUBJECT = CONJUNCTIONS | QUESTION_WORDS
"""`if someone sells`, but not `tell someone secrets`."""

BEFORE_DOING = _words("while when after before by without since keep keeps start stop avoid from")
"""After one of these, what one does is said as `doing`."""

NOUN_OR_VERB = _words("guide way ways steps process methods method key path approach")
NO_GERUNDS = _words("something anything everything nothing morning evening ceiling string spring")
ADJECTIVES = _words(
    "fake real new old good bad best better great small large big high low free cheap safe secret hidden "
    "online offline early late long short full own same different certain major minor top main key rare "
    "common quick fast easy simple right left young adult human digital public private"
)
ADJECTIVE_ENDINGS = (
    "al",
    "ive",
    "ous",
    "ful",
    "less",
    "ic",
    "able",
    "ible",
    "ary",
    "ory",
    "ized",
    "ised",
    "ored",
    "ate",
)
LIKE_ADJECTIVES = _words(
    "steal reveal conceal heal deal appeal give drive receive achieve arrive live survive deceive perceive "
    "conceive forgive dive enable disable create generate manipulate eliminate evaluate calculate navigate "
    "facilitate fabricate infiltrate perpetrate orchestrate operate replicate imitate simulate translate "
    "mitigate negotiate dominate initiate animal animals material hospital capital criminal individual "
    "professional official rival terminal journal signal public music traffic topic magic clinic fabric table "
    "cable vehicle library history factory category theory memory story directory inventory laboratory salary "
    "secretary diary climate chocolate certificate candidate state private"
)
"""End like adjectives, and are verbs or nouns."""

FINITE_BEFORE = _words("have has had")

NOUN_BEFORE_TO = _words(
    "access according addicted addiction approach attributed close compared contribute contributes dedicated "
    "due equal exposed exposure guidance introduction key lead leads leading limited link linked links next "
    "opposed opposition prior reaction reactions regard regards related relating relation relative relevant "
    "reply resistance resistant respect respond response responses similar solution solutions subject "
    "susceptible thanks unrelated vulnerable"
)
"""After one of these, `to` is a preposition."""

ASKING_FOR = {"what": "", "which": "", "much": "of the "}
"""`which gnome`: what comes between such a word and the noun."""

GOING = _words("go goes going went gone")
"""`go fishing`."""

OBJECT_STARTS = (
    ARTICLES
    | POSSESSIVES
    | PLURAL_QUANTIFIERS
    | SINGULAR_QUANTIFIERS
    | _words("someone somebody anyone anybody everyone everybody me him her us them it you people others")
)
"""What an object may begin with."""

_SINGULAR_IN_S = _words(
    "news physics mathematics politics economics ethics diabetes series species analysis crisis basis thesis "
    "diagnosis hypothesis virus bus gas glass process access business address illness darkness stress grass "
    "class mass loss boss cannabis tennis genius campus status census consensus bonus focus corpus chess mess "
    "dress press pus anthrax"
)
_PLURAL_NOT_IN_S = _words(
    "people men women children police cattle data media bacteria criteria teeth feet mice geese lives"
)
_PEOPLE = _words(
    "person man woman people men women adult adults elder elders worker workers officer officers driver "
    "drivers doctor doctors nurse nurses teacher teachers student students employee employees customer "
    "customers soldier soldiers politician politicians celebrity celebrities neighbor neighbors neighbour "
    "neighbours guard guards victim victims child children kid kids boy boys girl girls baby babies toddler toddlers "
    "parent parents mother mothers father fathers friend friends player players passenger passengers pedestrian "
    "pedestrians cyclist cyclists tourist tourists"
)
_PLACES = _words(
    "place house home building street store shop bank school university airport station hotel hospital church "
    "mosque temple city town park forest beach bridge road room office warehouse museum factory market prison "
    "border apartment"
)
_ACTS = _words(
    "act acts activity activities theft thefts fraud frauds scam scams attack attacks assault assaults "
    "robbery burglary crime crimes abuse war wars warfare breach breaches raid raids heist trick tricks prank "
    "pranks scheme schemes hoax campaign campaigns strike strikes riot riots protest protests fight fights "
    "race races dance game games sport sports travel trade sale sales purchase escape rescue search surgery "
    "therapy blackmail sabotage espionage spam"
)
_NO_ACTS = _words(
    "document documents equipment apartment instrument instruments cement moment moments basement element "
    "elements building buildings ring rings king string thing things clothing painting paintings drawing "
    "drawings ceiling medication medications station stations nation nations location locations vegetation "
    "ammunition condition conditions question questions information implication implications profession "
    "supplement supplements garment earring earrings wing wings sling spring morning evening pudding wedding"
)
_ACT_ENDINGS = ("ing", "ings", "tion", "tions", "sion", "sions", "ment", "ments", "ism", "cide", "age", "jacking")
_ABSTRACT_ENDINGS = tuple(
    _words(
        "ity ities ness ship ics ence ance cy debt tax taxes risk risks plan plans budget law laws right rights "
        "information implication implications policy policies disorder disorders disease diseases symptom "
        "symptoms pain market markets loan loans credit strategy strategies retirement issue issues problem "
        "problems condition conditions "
    )
)


def is_plural(noun: str) -> bool:
    """Whether that noun takes a plural verb."""
    if noun in _PLURAL_NOT_IN_S:
        return True
    return noun.endswith("s") and not noun.endswith(("ss", "us", "is", "'s")) and noun not in _SINGULAR_IN_S


def kind_of(noun: str, *, plural: bool) -> str:
    """The word that says what sort of thing it is."""
    if noun in _PEOPLE:
        return "people" if plural else "person"
    if noun.rstrip("s") in _PLACES or noun in _PLACES:
        return "places" if plural else "place"
    if noun in _ACTS or (noun.endswith(_ACT_ENDINGS) and noun not in _NO_ACTS):
        return "activities" if plural else "activity"
    if noun.endswith(_ABSTRACT_ENDINGS):
        return "matters" if plural else "matter"
    return "items" if plural else "item"
