"""The vocabulary of the grammar.

Irregular forms are listed, regular ones follow from the rules in `english.py` and `german.py`. No
English form has two meanings here: "read", for one, is left out, whose past is spelled alike.
"""

from __future__ import annotations

from .words import (
    Adjective,
    Adverb,
    Determiner,
    Form,
    Frame,
    Gender,
    Kind,
    Noun,
    Person,
    Pronoun,
    Verb,
)


def _nouns(kind: Kind, table: str) -> tuple[Noun, ...]:
    """Lines of English[/plural], German/plural and gender; an asterisk marks a weak noun."""
    result = []
    for line in table.strip().splitlines():
        english, german, gender = line.split()
        singular, _, plural = english.partition("/")
        german_singular, _, german_plural = german.partition("/")
        result.append(
            Noun(
                singular,
                plural or f"{singular}s",
                german_singular,
                german_plural,
                Gender("mfn".index(gender[0])),
                kind,
                weak=gender.endswith("*"),
            )
        )
    return tuple(result)


def _verbs(frame: Frame, kinds: str, table: str) -> tuple[Verb, ...]:
    """Lines of English/past [particle or preposition] | [prefix-]infinitive, third person, perfect.

    The perfect's auxiliary is `haben` unless `ist` is before the participle.
    """
    result = []
    for line in table.strip().splitlines():
        left, _, right = line.partition("|")
        forms, *small = left.split()
        english, _, past = forms.partition("/")
        infinitive, third, *auxiliary, participle = right.split()
        prefix, _, infinitive = infinitive.rpartition("-")
        small_word = "".join(small)
        is_preposition = small_word in {"for", "at"}
        result.append(
            Verb(
                frame,
                _kinds(kinds),
                english,
                past,
                "" if is_preposition else small_word,
                small_word if is_preposition else "",
                infinitive,
                third if infinitive == "wissen" else infinitive.removesuffix("n"),
                third,
                participle,
                prefix,
                "sein" if auxiliary else "haben",
            )
        )
    return tuple(result)


def _kinds(text: str) -> frozenset[Kind]:
    every: tuple[Kind, ...] = ("person", "animal", "thing", "place")
    return frozenset(kind for kind in every if kind in text.split())


PERSONS = _nouns(
    "person",
    """
    man/men         Mann/Männer        m
    woman/women     Frau/Frauen        f
    child/children  Kind/Kinder        n
    girl            Mädchen/Mädchen    n
    boy             Junge/Jungen       m*
    teacher         Lehrer/Lehrer      m
    doctor          Arzt/Ärzte         m
    friend          Freund/Freunde     m
    sister          Schwester/Schwestern f
    neighbour       Nachbar/Nachbarn   m*
    queen           Königin/Königinnen f
    student         Student/Studenten  m*
    """,
)
ANIMALS = _nouns(
    "animal",
    """
    dog    Hund/Hunde   m
    cat    Katze/Katzen f
    horse  Pferd/Pferde n
    bird   Vogel/Vögel  m
    """,
)
THINGS = _nouns(
    "thing",
    """
    book       Buch/Bücher         n
    letter     Brief/Briefe        m
    flower     Blume/Blumen        f
    apple      Apfel/Äpfel         m
    picture    Bild/Bilder         n
    newspaper  Zeitung/Zeitungen   f
    key        Schlüssel/Schlüssel m
    lamp       Lampe/Lampen        f
    bicycle    Fahrrad/Fahrräder   n
    car        Auto/Autos          n
    coat       Mantel/Mäntel       m
    bag        Tasche/Taschen      f
    """,
)
PLACES = _nouns(
    "place",
    """
    garden   Garten/Gärten  m
    kitchen  Küche/Küchen   f
    house    Haus/Häuser    n
    school   Schule/Schulen f
    forest   Wald/Wälder    m
    village  Dorf/Dörfer    n
    park     Park/Parks     m
    room     Zimmer/Zimmer  n
    """,
)

ADJECTIVES = tuple(
    Adjective(english, german, stem, _kinds(kinds))
    for english, german, stem, kinds in (
        ("old", "alt", "alt", "person animal thing place"),
        ("big", "groß", "groß", "person animal thing place"),
        ("small", "klein", "klein", "person animal thing place"),
        ("beautiful", "schön", "schön", "person animal thing place"),
        ("young", "jung", "jung", "person animal"),
        ("tired", "müde", "müd", "person animal"),
        ("hungry", "hungrig", "hungrig", "person animal"),
        ("friendly", "freundlich", "freundlich", "person animal"),
        ("new", "neu", "neu", "thing place"),
        ("dark", "dunkel", "dunkl", "thing place"),
        ("red", "rot", "rot", "thing"),
        ("expensive", "teuer", "teur", "thing"),
    )
)

THE = Determiner("the", "the", "der", "der")
A = Determiner("a", "", "ein", "ein")
THIS = Determiner("this", "these", "dies", "dieser")
EVERY = Determiner("every", "", "jed", "dieser")
NO = Determiner("no", "no", "kein", "ein")
POSSESSIVES = (
    Determiner("my", "my", "mein", "ein"),
    Determiner("our", "our", "unser", "ein"),
    Determiner("his", "his", "sein", "ein"),
    Determiner("her", "her", "ihr", "ein"),
)
NUMBERS = (Determiner("", "two", "zwei", "zwei"), Determiner("", "three", "drei", "zwei"))

PRONOUNS = (
    Pronoun("I", "me", ("ich", "mich", "mir"), Person.I),
    Pronoun("he", "him", ("er", "ihn", "ihm"), Person.HE),
    Pronoun("she", "her", ("sie", "sie", "ihr"), Person.HE),
    Pronoun("we", "us", ("wir", "uns", "uns"), Person.THEY),
    Pronoun("they", "them", ("sie", "sie", "ihnen"), Person.THEY),
)

VERBS = (
    *_verbs(
        "alone",
        "",
        """
        sleep/slept    | schlafen schläft geschlafen
        work/worked    | arbeiten arbeitet gearbeitet
        sing/sang      | singen singt gesungen
        dance/danced   | tanzen tanzt getanzt
        wait/waited    | warten wartet gewartet
        laugh/laughed  | lachen lacht gelacht
        get/got up     | auf-stehen steht ist gestanden
        arrive/arrived | an-kommen kommt ist gekommen
        """,
    ),
    *_verbs(
        "into",
        "",
        """
        go/went        | gehen geht ist gegangen
        run/ran        | laufen läuft ist gelaufen
        drive/drove    | fahren fährt ist gefahren
        """,
    ),
    *_verbs(
        "object",
        "person animal thing place",
        """
        see/saw        | sehen sieht gesehen
        find/found     | finden findet gefunden
        paint/painted  | malen malt gemalt
        look/looked for | suchen sucht gesucht
        look/looked at | an-sehen sieht gesehen
        """,
    ),
    *_verbs(
        "object",
        "animal thing",
        """
        buy/bought     | kaufen kauft gekauft
        sell/sold      | verkaufen verkauft verkauft
        carry/carried  | tragen trägt getragen
        wash/washed    | waschen wäscht gewaschen
        bring/brought along | mit-bringen bringt gebracht
        """,
    ),
    *_verbs(
        "object",
        "thing",
        """
        forget/forgot  | vergessen vergisst vergessen
        throw/threw away | weg-werfen wirft geworfen
        """,
    ),
    *_verbs(
        "object",
        "person animal",
        """
        love/loved     | lieben liebt geliebt
        wake/woke up   | auf-wecken weckt geweckt
        """,
    ),
    *_verbs(
        "object",
        "person",
        """
        visit/visited  | besuchen besucht besucht
        call/called    | an-rufen ruft gerufen
        invite/invited | ein-laden lädt geladen
        pick/picked up | ab-holen holt geholt
        """,
    ),
    *_verbs(
        "dative",
        "person animal",
        """
        help/helped    | helfen hilft geholfen
        follow/followed | folgen folgt ist gefolgt
        trust/trusted  | vertrauen vertraut vertraut
        """,
    ),
    *_verbs(
        "dative",
        "person",
        """
        thank/thanked  | danken dankt gedankt
        answer/answered | antworten antwortet geantwortet
        """,
    ),
    *_verbs(
        "both",
        "animal thing",
        """
        give/gave      | geben gibt gegeben
        show/showed    | zeigen zeigt gezeigt
        send/sent      | schicken schickt geschickt
        lend/lent      | leihen leiht geliehen
        """,
    ),
    *_verbs(
        "that",
        "",
        """
        know/knew      | wissen weiß gewusst
        say/said       | sagen sagt gesagt
        believe/believed | glauben glaubt geglaubt
        hope/hoped     | hoffen hofft gehofft
        """,
    ),
    Verb("be", frozenset(), "be", "", "", "", "sein", "bin", "ist", "gewesen", "", "sein"),
)

_ALL: frozenset[Form] = frozenset(("present", "past", "can", "must", "should", "want", "will"))
ADVERBS = (
    Adverb("today", "heute", _ALL),
    Adverb("now", "jetzt", frozenset(("present", "can", "must", "should", "want"))),
    Adverb("on Sunday", "am Sonntag", _ALL),
    Adverb("in the evening", "am Abend", _ALL),
    Adverb("yesterday", "gestern", frozenset(("past",))),
    Adverb("tomorrow", "morgen", _ALL - {"present", "past"}),
    Adverb("often", "oft", _ALL, middle=True),
    Adverb("always", "immer", _ALL, middle=True),
    Adverb("never", "nie", frozenset(("present", "past", "will")), middle=True),
)

MODALS: dict[Form, tuple[str, str, str]] = {
    "can": ("kann", "kann", "können"),
    "must": ("muss", "muss", "müssen"),
    "should": ("soll", "soll", "sollen"),
    "want": ("will", "will", "wollen"),
    "will": ("werde", "wird", "werden"),
}
"""German forms by Person; `will` is the future."""

CONJUNCTIONS = {"because": "weil", "if": "wenn", "although": "obwohl", "that": "dass"}
QUESTIONS = {"why": "warum", "when": "wann"}
