"""A sentence in German: gender, case and agreement; the verb second, first or last.

The rules are those of any grammar of the language: articles and adjectives decline with gender,
number and case (weak after `der`, mixed after `ein`, strong after a numeral); "in" takes the dative
for a place and the accusative for a direction; the finite verb comes second in a main clause, first
in a question and last in a subordinate clause; separable prefixes, infinitives and participles
close the clause; pronouns come before other objects, and the dative before the accusative.
"""

from __future__ import annotations

from enum import IntEnum

from .lexicon import CONJUNCTIONS, MODALS, QUESTIONS
from .syntax import Clause, Nominal, NounPhrase, Sentence
from .words import Gender, Person, Pronoun


class Case(IntEnum):
    NOMINATIVE = 0
    ACCUSATIVE = 1
    DATIVE = 2


# By case; within, by gender, the plural last.
_DER = ("der die das die", "den die das die", "dem der dem den")
_DIESER = ("er e es e", "en e es e", "em er em en")
_EIN = ("- e - e", "en e - e", "em er em en")
_WEAK = ("e e e en", "en e e en", "en en en en")
_MIXED = ("er e es en", "en e es en", "en en en en")
_STRONG = ("er e es e", "en e es e", "em er em en")
_OF_ADJECTIVES = {"der": _WEAK, "dieser": _WEAK, "ein": _MIXED, "zwei": _STRONG}

_TO_BE = {"present": ("bin", "ist", "sind"), "past": ("war", "war", "waren")}
_PERFECT = {"haben": ("habe", "hat", "haben"), "sein": _TO_BE["present"]}


def german(sentence: Sentence) -> str:
    main, subordinate = sentence.main, sentence.subordinate
    added: list[str] = []
    if subordinate:
        added = [CONJUNCTIONS[sentence.conjunction], *_verb_last(subordinate)]
    words: list[str] = []
    match sentence.first:
        case "clause":
            words += [*added, ","]
        case "adverb" if main.adverb:
            words.append(main.adverb.german)
        case "place":
            words += _place(main)
    if sentence.question:
        words.append(QUESTIONS[sentence.question])
    if words or sentence.question is not None:
        words += _verb_first(main, sentence.first)
    else:
        words += _verb_second(main)
    if subordinate and sentence.first != "clause":
        words += [",", *added]
    return _written(words) + ("." if sentence.question is None else "?")


def _written(words: list[str]) -> str:
    """The words as a text; a comma is written once, and not at the end."""
    kept = [
        word
        for word, following in zip(words, [*words[1:], ","], strict=True)
        if not word == following == ","
    ]
    text = " ".join(kept).replace(" ,", ",")
    return text[0].upper() + text[1:]


def _verb_second(clause: Clause) -> list[str]:
    finite, closing = _verb(clause, _person(clause))
    return [*_subject(clause), finite, *_middle(clause, ""), *closing]


def _verb_first(clause: Clause, first: str) -> list[str]:
    finite, closing = _verb(clause, _person(clause))
    return [finite, *_subject(clause), *_middle(clause, first), *closing]


def _verb_last(clause: Clause, person: Person | None = None) -> list[str]:
    """A relative clause, whose pronoun is the subject, is given its person."""
    finite, closing = _verb(clause, _person(clause) if person is None else person)
    if closing == [clause.verb.prefix]:
        finite, closing = clause.verb.prefix + finite, []
    return [*_subject(clause), *_middle(clause, ""), *closing, finite]


def _person(clause: Clause) -> Person:
    assert clause.subject is not None
    return clause.subject.person


def _subject(clause: Clause) -> list[str]:
    return _nominal(clause.subject, Case.NOMINATIVE) if clause.subject else []


def _verb(clause: Clause, person: Person) -> tuple[str, list[str]]:
    """The finite verb, and what closes the clause."""
    verb, form = clause.verb, clause.form
    if form in MODALS:
        return MODALS[form][person], [verb.prefix + verb.infinitive]
    if verb.frame == "be":
        return _TO_BE[form][person], []
    if form == "past":
        return _PERFECT[verb.perfect][person], [verb.prefix + verb.participle]
    present = (verb.first, verb.third, verb.infinitive)[person]
    return present, [verb.prefix] if verb.prefix else []


def _middle(clause: Clause, first: str) -> list[str]:
    """What stands between the verb's two places, without what is `first` already."""
    objects = [
        (clause.receiver, Case.DATIVE),
        (clause.object, Case.DATIVE if clause.verb.frame == "dative" else Case.ACCUSATIVE),
    ]
    pronouns = [(nominal, case) for nominal, case in objects if isinstance(nominal, Pronoun)]
    phrases = [(nominal, case) for nominal, case in objects if isinstance(nominal, NounPhrase)]
    negation = ["nicht"] if clause.negated else []
    words = [word for nominal, case in pronouns for word in _nominal(nominal, case)]
    if clause.adverb and first != "adverb":
        words.append(clause.adverb.german)
    for nominal, case in phrases:
        # "nicht ein" is "kein".
        none = clause.negated and nominal.determiner.german == "ein"
        words += _nominal(nominal, case, none=none)
        negation = [] if none else negation
    words += negation
    if first != "place":
        words += _place(clause)
    return words + ([clause.predicate.german] if clause.predicate else [])


def _nominal(nominal: Nominal, case: Case, *, none: bool = False) -> list[str]:
    if isinstance(nominal, Pronoun):
        return [nominal.german[case]]
    determiner, noun = nominal.determiner, nominal.noun
    gender = Gender.PLURAL if nominal.plural else noun.gender
    declension = determiner.declension
    words = ["kein" if none else determiner.german]
    if declension == "der":
        words = [_cell(_DER, case, gender)]
    elif declension != "zwei":
        words[0] += _cell(_DIESER if declension == "dieser" else _EIN, case, gender)
    if nominal.adjective:
        ending = _cell(_OF_ADJECTIVES[declension], case, gender)
        words.append(nominal.adjective.stem + ending)
    words.append(_noun(nominal, case))
    if nominal.relative:
        pronoun = _cell(_DER, Case.NOMINATIVE, gender)
        words += [",", pronoun, *_verb_last(nominal.relative, nominal.person), ","]
    return words


def _noun(nominal: NounPhrase, case: Case) -> str:
    noun = nominal.noun
    if not nominal.plural:
        return noun.german_plural if noun.weak and case != Case.NOMINATIVE else noun.german
    takes_n = case == Case.DATIVE and not noun.german_plural.endswith(("n", "s"))
    return noun.german_plural + "n" * takes_n


def _cell(table: tuple[str, str, str], case: Case, gender: Gender) -> str:
    return table[case].split()[gender].removeprefix("-")


def _place(clause: Clause) -> list[str]:
    if clause.place is None:
        return []
    into = clause.verb.frame == "into"
    words = _nominal(clause.place, Case.ACCUSATIVE if into else Case.DATIVE)
    match words[0]:
        case "dem":
            return ["im", *words[1:]]
        case "das":
            return ["ins", *words[1:]]
        case _:
            return ["in", *words]
